from __future__ import annotations

from typing import Any

import pytest
from parcels import MODEL, Season, documented_value, promotion, step

from backbeat import Actor, Blocked, Done, Outcome, Step, Waiting, resume_step
from backbeat.errors import InvalidStep, Refused
from backbeat.signoff import read_request, vote
from backbeat.steps import Signoff

ABOUT = {"model": MODEL, "version": "2"}


def asking(**fields: Any) -> Step:
    """Asks two people about version 2."""
    known = {
        "subject": "parcels version 2",
        "about": ABOUT,
        "evidence": {"verdict": "better", "difference": 0.25},
        "approvers": ["ana", "ben", "cy"],
    }
    return step("signoff.request", **{**known, **fields})


def asked(season: Season, outcome: Outcome, *voters: str, choice: Any = "approve") -> str:
    """The request that a step waits for, after some votes."""
    assert isinstance(outcome, Waiting)
    for voter in voters:
        shown = read_request(season.platform.ledger, outcome.request_id).request
        vote(
            season.platform.ledger,
            outcome.request_id,
            choice=choice,
            actor=Actor(id=voter, method="cli"),
            evidence_digest=shown.evidence_digest,
        )
    return outcome.request_id


def test_waits_until_the_quorum_is_there(season: Season) -> None:
    """It waits holding nothing, resumes from the ledger by the request alone, and says who."""
    outcome = season.run(asking())
    request = asked(season, outcome, "ana")
    assert isinstance(resume_step(request, season.platform), Waiting)
    asked(season, outcome, "ben")
    done = resume_step(request, season.platform)

    assert isinstance(done, Done)
    assert set(done.value) == (documented_value(Signoff) - {"about"}) | set(ABOUT)
    assert done.value["decision"] == "approved"
    assert done.value["by"] == ["ana", "ben"]
    shown = read_request(season.platform.ledger, request).request
    assert done.value["evidence_digest"] == shown.evidence_digest


def test_a_retry_asks_nobody_twice(season: Season) -> None:
    """A retry, and a replay of the finished step, look at the same request again."""
    outcome = season.run(asking())
    request = asked(season, outcome, "ana", "ben")
    again = season.run(asking(), attempt=2)

    assert isinstance(again, Done)
    assert again.value["request_id"] == request
    assert len(season.stores()["ledger"]["streams"]) == 1


def test_another_night_asks_anew(season: Season) -> None:
    """A decision belongs to the run that asked, not to whoever asks the same later."""
    asked(season, season.run(asking()), "ana", "ben")

    assert isinstance(season.run(asking(), run="night-2"), Waiting)


def test_a_rejection_blocks(season: Season) -> None:
    """One counted rejection is enough, and names who."""
    outcome = season.run(asking())
    request = asked(season, outcome, "ben", choice="reject")
    blocked = resume_step(request, season.platform)

    assert isinstance(blocked, Blocked)
    assert blocked.reason == "parcels version 2: rejected by ben"


def test_a_vote_is_bound_to_the_evidence(season: Season) -> None:
    """A vote on other evidence than what the request shows is refused and changes nothing."""
    first = season.run(asking())
    other = season.run(asking(evidence={"verdict": "not_better"}))
    assert isinstance(first, Waiting)
    assert isinstance(other, Waiting)
    assert first.request_id != other.request_id
    shown = read_request(season.platform.ledger, other.request_id).request
    before = season.stores()
    with pytest.raises(Refused, match="it is bound to other evidence than what the request shows"):
        vote(
            season.platform.ledger,
            first.request_id,
            choice="approve",
            actor=Actor(id="ana", method="cli"),
            evidence_digest=shown.evidence_digest,
        )

    assert season.stores() == before


@pytest.mark.parametrize(
    ("voters", "reason"),
    [
        (["ana", "ana"], "ana has voted already"),
        (["dee"], "dee is not among the approvers"),
        (["scheduler"], "scheduler is not among the approvers"),
    ],
)
def test_votes_that_do_not_count(voters: list[str], reason: str, season: Season) -> None:
    """A second vote, a stranger's and the requester's do not make a quorum."""
    outcome = season.run(asking())
    with pytest.raises(Refused, match=reason):
        asked(season, outcome, *voters)
    assert isinstance(outcome, Waiting)

    assert isinstance(resume_step(outcome.request_id, season.platform), Waiting)


def test_four_eyes(season: Season) -> None:
    """Who asks does not approve, where anybody may vote."""
    outcome = season.run(asking(approvers=[]))
    with pytest.raises(Refused, match="scheduler made the request, and four eyes are demanded"):
        asked(season, outcome, "scheduler")


@pytest.mark.parametrize(("default", "kind"), [("reject", Blocked), ("approve", Done)])
def test_the_deadline_decides(default: str, kind: type, season: Season) -> None:
    """A request whose deadline has passed is settled by its default, in the system's name."""
    outcome = season.run(asking(deadline="PT0.000001S", default=default))
    if isinstance(outcome, Waiting):
        outcome = resume_step(outcome.request_id, season.platform)

    assert isinstance(outcome, kind)
    by = outcome.value["by"] if isinstance(outcome, Done) else outcome.evidence["by"]  # type: ignore[union-attr]
    assert by == ["system:deadline"]


def test_a_quorum_that_cannot_be_reached(season: Season) -> None:
    """Fewer approvers than the quorum are noticed when the step is read, not after three days."""
    with pytest.raises(InvalidStep, match="a quorum of 3 cannot be reached by 2 approvers"):
        asking(quorum=3, approvers=["ana", "ben", "ana"])


def test_it_is_what_a_promotion_checks(season: Season) -> None:
    """The decision lets exactly the version that it is about be promoted."""
    request = asked(season, season.run(asking()), "ana", "ben")
    outcome = season.run(promotion("2", request_id=request))

    assert isinstance(outcome, Done)
    assert outcome.value["by"] == ["ana", "ben"]


RULES = {
    "stages": [{"name": "risk", "quorum": 2, "of": ["ana", "ben", "cy"]}, {"of": ["dora"]}],
    "within": "PT6H",
    "reminders": ["PT1H"],
}
FORM = {"properties": {"limit": {"type": "integer", "minimum": 0}}, "required": ["limit"]}


def test_stages_evidence_and_a_form_are_asked_by_a_step(season: Season) -> None:
    """What people fill in is held against the form, and the stages come one after the other."""
    outcome = season.run(
        asking(approvers=[], rules=RULES, form=FORM, shown={"facts": [{"name": "n", "value": 1}]})
    )
    assert isinstance(outcome, Waiting)
    ledger = season.platform.ledger
    request = read_request(ledger, outcome.request_id).request
    assert (request.deadline - request.created).total_seconds() == 6 * 3600

    def approve(who: str, **answers: Any) -> None:
        vote(
            ledger,
            outcome.request_id,
            choice="approve",
            actor=Actor(id=who, method="cli"),
            evidence_digest=request.evidence_digest,
            answers=answers,
        )

    with pytest.raises(Refused, match="limit"):
        approve("ana", limit=-1)
    with pytest.raises(Refused, match="dora"):
        approve("dora", limit=1)
    for who in ("ana", "ben"):
        approve(who, limit=1)
    assert isinstance(resume_step(outcome.request_id, season.platform), Waiting)
    approve("dora", limit=1)
    done = resume_step(outcome.request_id, season.platform)
    assert isinstance(done, Done)
    assert done.value["by"] == ["ana", "ben", "dora"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rules": RULES}, "approvers is said beside the rules"),
        ({"rules": RULES, "approvers": [], "quorum": 3}, "quorum is said beside the rules"),
        (
            {"rules": {**RULES, "within": None}, "approvers": [], "deadline": "PT1H"},
            "nobody can be told after",
        ),
    ],
)
def test_rules_are_said_once_and_fit_their_deadline(fields: dict[str, Any], says: str) -> None:
    """Two words about one thing are refused before anybody is asked."""
    with pytest.raises(InvalidStep, match=says):
        asking(**fields)
