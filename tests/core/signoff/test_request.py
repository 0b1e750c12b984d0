from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat import Actor
from backbeat.signoff import Decision, Request, Rules, Vote
from backbeat.signoff.decision import Course
from backbeat.signoff.events import Happened

CREATED = datetime(2999, 1, 1, tzinfo=UTC)
NAMES = ("ana", "ben", "cleo", "dora")


def decide(request: Request, votes: tuple[Vote, ...], now: datetime) -> Decision | None:
    """What the rules make of votes that were recorded when they were cast."""
    course = Course(request, (Happened(2 + n, vote.at, vote) for n, vote in enumerate(votes)))
    return course.standing(now).decision


def _request(**rules: Any) -> Request:
    return Request(
        request_id="so-1",
        subject="Ship it?",
        about={},
        evidence={"n": 1},
        requester=Actor(id="ana", method="python"),
        rules=Rules.model_validate({"quorum": 2, "four_eyes": True, **rules}),
        created=CREATED,
        deadline=CREATED + timedelta(hours=24),
        workflow="w/r",
    )


@st.composite
def requests_with_votes(draw: st.DrawFn) -> tuple[Request, tuple[Vote, ...], datetime]:
    """Any rules, any votes in order of time, and a moment at or after the last of them."""
    request = _request(
        quorum=draw(st.integers(1, 4)),
        approvers=tuple(draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))),
        four_eyes=draw(st.booleans()),
        default=draw(st.sampled_from(["approve", "reject"])),
    )
    hours = sorted(draw(st.lists(st.integers(0, 30), max_size=10)))
    votes = tuple(
        Vote(
            actor=Actor(
                id=draw(st.sampled_from(NAMES)),
                method=draw(st.sampled_from(["cli", "cli", "airflow", "anonymous"])),
            ),
            choice=draw(st.sampled_from(["approve", "approve", "approve", "reject"])),
            evidence_digest=draw(
                st.sampled_from([request.evidence_digest] * 4 + ["sha256:something else"])
            ),
            at=CREATED + timedelta(hours=hour),
        )
        for hour in hours
    )
    now = CREATED + timedelta(hours=draw(st.integers(hours[-1] if hours else 0, 40)))
    return request, votes, now


def _counts(request: Request, vote: Vote) -> bool:
    rules = request.rules
    return (
        vote.actor.method != "anonymous"
        and vote.evidence_digest == request.evidence_digest
        and vote.at < request.deadline
        and (not rules.approvers or vote.actor.id in rules.approvers)
        and not (rules.four_eyes and vote.actor.id == request.requester.id)
    )


@given(requests_with_votes())
def test_no_sequence_of_votes_approves_against_the_rules(
    case: tuple[Request, tuple[Vote, ...], datetime],
) -> None:
    """An approval is the quorum's distinct, counted people before any rejection, or the default."""
    request, votes, now = case
    decision = decide(request, votes, now)
    if decision is None or decision.choice != "approve":
        return
    if decision.by == ("system:deadline",):
        assert request.rules.default == "approve"
        assert now >= request.deadline
        return
    before = [vote for vote in votes if vote.at <= decision.at and _counts(request, vote)]
    approvers = {vote.actor.id for vote in before if vote.choice == "approve"}
    assert set(decision.by) <= approvers
    assert len(set(decision.by)) == len(decision.by) == request.rules.quorum
    if request.rules.four_eyes:
        assert "ana" not in decision.by


@given(requests_with_votes())
def test_a_counted_rejection_is_never_overruled(
    case: tuple[Request, tuple[Vote, ...], datetime],
) -> None:
    """Where the first words of enough people are no approval, one counted no decides."""
    request, votes, now = case
    decision = decide(request, votes, now)
    first_words: dict[str, Vote] = {}
    for vote in votes:
        if _counts(request, vote):  # a word that does not count costs nobody their voice
            first_words.setdefault(vote.actor.id, vote)
    words = [vote.choice for vote in first_words.values()]
    approvals = words.index("reject") if "reject" in words else len(words)
    expected: str | None = "reject" if "reject" in words else None
    if approvals >= request.rules.quorum:
        expected = "approve"
    if expected is None and now >= request.deadline:
        expected = request.rules.default
    assert (decision.choice if decision else None) == expected


@given(requests_with_votes())
def test_a_decision_is_not_changed_by_what_comes_later(
    case: tuple[Request, tuple[Vote, ...], datetime],
) -> None:
    """Once the votes so far decide, every longer sequence decides the same."""
    request, votes, now = case
    settled = None
    for number in range(len(votes) + 1):
        at = votes[number - 1].at if number else CREATED
        found = decide(request, votes[:number], min(at, now))
        if settled is not None and settled.by != ("system:deadline",):
            assert found == settled
        settled = settled or found


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"actor": Actor(id="ben", method="anonymous")}, "nobody is known to have cast it"),
        ({"evidence_digest": "sha256:old"}, "bound to other evidence than what the request shows"),
        ({"at": CREATED + timedelta(hours=24)}, "the deadline has passed"),
        ({"actor": Actor(id="zoe", method="cli")}, "zoe is not among the approvers"),
        ({"actor": Actor(id="ana", method="cli")}, "ana made the request, and four eyes are"),
        ({"actor": Actor(id="cleo", method="cli")}, "cleo has voted already"),
    ],
)
def test_a_vote_that_does_not_count_is_told_why(fields: dict[str, Any], reason: str) -> None:
    """Each rule has its sentence."""
    request = _request(approvers=NAMES)
    known: dict[str, Any] = {
        "actor": Actor(id="ben", method="cli"),
        "choice": "approve",
        "evidence_digest": request.evidence_digest,
        "at": CREATED,
    }
    earlier = Vote(**{**known, "actor": Actor(id="cleo", method="cli")})
    vote = Vote(**{**known, **fields})
    course = Course(request, [Happened(2, CREATED, earlier)])
    course.now = vote.at
    found = course.refusal(vote)
    assert found is not None
    assert reason in found.why


@pytest.mark.parametrize(
    "changed",
    [
        {"evidence": {"better": False}},
        {"subject": "Ship it!"},
        {"about": {"model": "m", "version": "4"}},
        {"quorum": 1},
        {"default": "approve"},
    ],
)
def test_whatever_is_shown_is_in_the_digest(
    request_of: Callable[..., Request], changed: dict[str, Any]
) -> None:
    """A change of subject, object, evidence or rules voids every vote that was cast before."""
    assert request_of(**changed).evidence_digest != request_of().evidence_digest
    assert request_of(request_id="so-2").evidence_digest == request_of().evidence_digest
