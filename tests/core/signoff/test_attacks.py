"""Everything that must be refused: recorded as refused with its own code, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from backbeat import Actor
from backbeat.errors import InvalidData, LedgerIncompatible, NotFound, Refused
from backbeat.ledger.sql import SqlLedger
from backbeat.signoff import (
    BreakGlass,
    Code,
    Evidence,
    People,
    Request,
    Rules,
    State,
    break_glass,
    change_evidence,
    change_rules,
    delegate,
    keep_people,
    open_request,
    read_request,
    retract,
    vote,
    withdraw,
)
from backbeat.signoff.export import as_text, export

Make = Callable[..., Any]
CREATED = datetime(2999, 1, 1, tzinfo=UTC)
FORM = {
    "properties": {
        "limit": {"type": "number", "minimum": 0, "maximum": 100},
        "note": {"type": "string", "maxLength": 20},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "flags": {"type": "array", "items": {"enum": ["x", "y"]}},
        "sure": {"type": "boolean"},
    },
    "required": ["limit"],
}
PEOPLE = People.model_validate(
    {
        "identities": {"slack:U2": "ben", "airflow:benjamin": "ben", "slack:U1": "ana"},
        "groups": {"desk": ["ben", "cleo", "dora"]},
        "names": {"cleo": "Cleopatra Philopator"},
    }
)
SVG = "image/svg+xml"
STAGES = [{"name": "desk", "quorum": 2, "of": ["group:desk", "emil"], "methods": ["cli", "slack"]}]


def _at(hours: float) -> Callable[[], datetime]:
    return lambda: CREATED + timedelta(hours=hours)


@pytest.fixture
def asked(either: SqlLedger, request_of: Make) -> State:
    """A request with everything: groups, a form, delegation, break-glass."""
    keep_people(either, PEOPLE, actor=Actor(id="root", method="cli"))
    request = request_of(
        stages=STAGES,
        delegation=True,
        break_glass=BreakGlass(by=("cleo",)),
        changed_by=("dora",),
        form=FORM,
    )
    return open_request(either, request)


def _cast(ledger: SqlLedger, who: str = "cleo", method: Any = "cli", **more: Any) -> State:
    state = read_request(ledger, "so-1", clock=_at(0))
    known: dict[str, Any] = {
        "choice": "approve",
        "actor": Actor(id=who, method=method),
        "evidence_digest": state.request.evidence_digest,
        "clock": _at(1),
        "answers": {"limit": 5},
    }
    return vote(ledger, "so-1", **{**known, **more})


def _refused(ledger: SqlLedger) -> list[tuple[str, Any]]:
    query = text("SELECT action, body FROM backbeat_audit_log WHERE outcome = 'refused'")
    with ledger.database.read() as view:
        rows = view.execute(query).all()
    return [(row.action, json.loads(bytes(row.body))["facts"]["code"]) for row in rows]


BAD_VOTES: list[tuple[dict[str, Any], Code]] = [
    ({"who": "ana"}, Code.NOT_AN_APPROVER),
    ({"who": "U1", "method": "slack"}, Code.NOT_AN_APPROVER),
    ({"who": "ben"}, Code.VOTED_ALREADY),
    ({"who": "U2", "method": "slack"}, Code.VOTED_ALREADY),
    ({"who": "BEN "}, Code.VOTED_ALREADY),
    ({"who": "cleo", "method": "anonymous"}, Code.ANONYMOUS),
    ({"who": "cleo", "method": "system"}, Code.NOT_A_PERSON),
    ({"who": "system:deadline"}, Code.NOT_A_PERSON),
    ({"who": "cleo", "method": "airflow"}, Code.WRONG_METHOD),
    ({"who": "group:desk"}, Code.NOT_AN_APPROVER),
    ({"evidence_digest": "sha256:" + "0" * 64}, Code.STALE_EVIDENCE),
    ({"evidence_digest": "<script>" * 10_000}, Code.STALE_EVIDENCE),
    ({"for_person": "dora"}, Code.NO_DELEGATION),
    ({"answers": {}}, Code.BAD_ANSWER),
    ({"answers": {"limit": "5"}}, Code.BAD_ANSWER),
    ({"answers": {"limit": True}}, Code.BAD_ANSWER),
    ({"answers": {"limit": float("nan")}}, Code.BAD_ANSWER),
    ({"answers": {"limit": 101}}, Code.BAD_ANSWER),
    ({"answers": {"limit": 5, "note": "x" * 21}}, Code.BAD_ANSWER),
    ({"answers": {"limit": 5, "kind": "c"}}, Code.BAD_ANSWER),
    ({"answers": {"limit": 5, "flags": ["x", "x"]}}, Code.BAD_ANSWER),
    ({"answers": {"limit": 5, "sure": 1}}, Code.BAD_ANSWER),
    ({"answers": {"limit": 5, "__class__": "x"}}, Code.BAD_ANSWER),
    ({"answers": {"limit": {1, 2}}}, Code.BAD_ANSWER),
    ({"answers": {"limit": 5, "note": "x" * 300_000}}, Code.BAD_ANSWER),
    ({"reason": "x" * 4001}, Code.BAD_TEXT),
    ({"reason": "\ud800"}, Code.BAD_TEXT),
    ({"meaning": "x" * 301}, Code.BAD_TEXT),
    ({"printed_name": "x" * 301}, Code.BAD_TEXT),
    ({"delivery": "x" * 201}, Code.BAD_TEXT),
]


@pytest.mark.parametrize(("more", "code"), BAD_VOTES)
def test_a_bad_vote_is_refused_with_its_code_and_changes_nothing(
    either: SqlLedger, asked: State, more: dict[str, Any], code: Code
) -> None:
    """Through whichever door it comes, the request stays as it was and the code is on record."""
    _cast(either, "ben")
    before = read_request(either, "so-1", clock=_at(0))
    with pytest.raises(Refused):
        _cast(either, **more)
    assert read_request(either, "so-1", clock=_at(0)) == before
    assert _refused(either) == [("signoff.vote", code)]


def test_votes_after_the_end_are_told_apart(either: SqlLedger, asked: State) -> None:
    """After the decision, and after the deadline by a clock that was then set back."""
    assert read_request(either, "so-1", clock=_at(24)).name == "rejected"
    with pytest.raises(Refused, match="it was rejected by system:deadline"):
        _cast(either, clock=_at(2))
    assert _refused(either) == [("signoff.vote", Code.AFTER_DECISION)]
    assert read_request(either, "so-1", clock=_at(-100)).name == "rejected"


def test_a_clock_that_is_set_back_gives_no_time(either: SqlLedger, asked: State) -> None:
    """Time goes on from the latest that the stream has seen, whoever's clock says otherwise."""
    _cast(either, "ben", clock=_at(23))
    state = _cast(either, "cleo", clock=_at(-500))
    assert [one.at for one in state.votes] == [_at(23)()] * 2


def test_who_acts_for_the_requester_is_not_four_eyes(
    either: SqlLedger, asked: State, request_of: Make
) -> None:
    """A standing delegation in the directory is enough, over however many people it goes."""
    during = {"starts": CREATED, "ends": CREATED + timedelta(days=9)}
    acting = [
        {"delegator": "ana", "delegate": "zoe", **during},
        {"delegator": "zoe", "delegate": "cleo", **during},
        {"delegator": "dora", "delegate": "ben", **during},
    ]
    both = PEOPLE.model_copy(
        update={"delegations": People.model_validate({"delegations": acting}).delegations}
    )
    keep_people(either, both, actor=Actor(id="root", method="cli"))
    with pytest.raises(Refused, match="the requester act for one another"):
        _cast(either, "cleo")
    _cast(either, "ben")
    with pytest.raises(Refused, match="act for one another: not four eyes"):
        _cast(either, "dora")
    codes = [code for _, code in _refused(either)]
    assert codes == [Code.ACTS_FOR_REQUESTER, Code.ACTS_FOR_A_VOTER]


def test_a_delegate_votes_once_and_passes_nothing_on(either: SqlLedger, asked: State) -> None:
    """The right goes one step, for its time, and never through the requester."""
    cli = {who: Actor(id=who, method="cli") for who in ("ana", "cleo", "emil", "zoe", "gil")}
    ends = CREATED + timedelta(hours=3)
    more: dict[str, Any] = {"ends": ends, "clock": _at(1)}
    delegate(either, "so-1", actor=cli["emil"], to="zoe", **more)
    for actor, to, code in [
        ("zoe", "gil", Code.NOT_AN_APPROVER),
        ("cleo", "emil", Code.DELEGATION_CHAIN),
        ("cleo", "cleo", Code.DELEGATION_CHAIN),
        ("cleo", "ana", Code.REQUESTER),
        ("ana", "gil", Code.NOT_AN_APPROVER),
    ]:
        with pytest.raises(Refused):
            delegate(either, "so-1", actor=cli[actor], to=to, **more)
        assert _refused(either)[-1] == ("signoff.delegate", code)
    with pytest.raises(Refused):
        delegate(either, "so-1", actor=cli["cleo"], to="gil", ends=CREATED, clock=_at(1))
    with pytest.raises(Refused):
        _cast(either, "zoe", clock=_at(3))  # it has ended
    state = _cast(either, "zoe", clock=_at(2))
    assert state.votes[-1].for_person == "emil"
    with pytest.raises(Refused):
        _cast(either, "emil", clock=_at(2))
    assert _refused(either)[-1] == ("signoff.vote", Code.RIGHT_USED)


def test_changed_evidence_voids_votes_and_says_so(either: SqlLedger, asked: State) -> None:
    """Only the requester may; who has voted may vote again, on what is shown now."""
    _cast(either, "ben")
    change: dict[str, Any] = {"about": {"version": "4"}, "evidence": {"better": False}}
    with pytest.raises(Refused):
        change_evidence(either, "so-1", actor=Actor(id="ben", method="cli"), clock=_at(2), **change)
    ana = Actor(id="U1", method="slack")
    requester = Actor(id="ana", method="python")
    state = change_evidence(either, "so-1", actor=ana, clock=_at(2), **change)
    assert state.request.requester == requester
    [void] = state.standing.not_counted
    assert (void.code, void.vote.actor.id) == (Code.STALE_EVIDENCE, "ben")
    assert "changed the evidence" in void.why
    with pytest.raises(Refused):
        _cast(either, "cleo", evidence_digest=asked.request.evidence_digest)
    _cast(either, "ben")
    assert _cast(either, "cleo").name == "approved"


def test_changed_rules_are_recorded_and_void_votes(either: SqlLedger, asked: State) -> None:
    """Only whom the rules name may, and nobody can make them simple enough to be misread."""
    _cast(either, "ben")
    easier = Rules.model_validate({"stages": [{"quorum": 1}], "changed_by": ["dora"]})
    for who in ("ben", "ana"):
        with pytest.raises(Refused):
            change_rules(
                either, "so-1", actor=Actor(id=who, method="cli"), rules=easier, clock=_at(2)
            )
    dora = Actor(id="dora", method="cli")
    simple = Rules(quorum=1, four_eyes=False)
    with pytest.raises(Refused):
        change_rules(either, "so-1", actor=dora, rules=simple, clock=_at(2))
    state = change_rules(either, "so-1", actor=dora, rules=easier, clock=_at(2))
    assert (state.name, state.standing.missing) == ("open", 1)
    assert len(state.standing.not_counted) == 1


def test_glass_is_broken_by_few_with_a_reason_and_loudly(either: SqlLedger, asked: State) -> None:
    """Whom the rules name, with a reason; the decision says so, and a message leaves."""
    for who, reason in (("ben", "the plant is on fire"), ("cleo", "  urgent  ")):
        with pytest.raises(Refused):
            break_glass(
                either, "so-1", actor=Actor(id=who, method="cli"), reason=reason, clock=_at(1)
            )
    assert [code for _, code in _refused(either)] == [Code.NOT_PERMITTED, Code.NO_REASON]
    cleo = Actor(id="cleo", method="cli")
    state = break_glass(either, "so-1", actor=cleo, reason="the plant is on fire", clock=_at(1))
    assert state.decision is not None
    assert (state.name, state.decision.by) == ("approved", ("system:break-glass", "cleo"))
    with either.database.read() as view:
        [body] = view.execute(text("SELECT body FROM backbeat_outbox")).scalars()
    assert "the plant is on fire" in body


def test_a_vote_is_taken_back_by_whose_it_is(either: SqlLedger, asked: State) -> None:
    """While the stage is open; then the voice is free again."""
    _cast(either, "ben")
    with pytest.raises(Refused):
        retract(either, "so-1", actor=Actor(id="cleo", method="cli"), clock=_at(1))
    assert _refused(either)[-1] == ("signoff.retract", Code.NO_VOTE)
    state = retract(either, "so-1", actor=Actor(id="U2", method="slack"), clock=_at(1))
    assert state.standing.missing == 2
    _cast(either, "ben")


def test_only_the_requester_withdraws(either: SqlLedger, asked: State) -> None:
    """By whichever door; somebody else's try is on record."""
    with pytest.raises(Refused):
        withdraw(either, "so-1", actor=Actor(id="ben", method="cli"), clock=_at(1))
    assert _refused(either) == [("signoff.withdraw", Code.NOT_PERMITTED)]
    state = withdraw(either, "so-1", actor=Actor(id="U1", method="slack"), clock=_at(1))
    assert state.decision is not None
    assert state.decision.by == ("system:withdrawn", "U1")


def test_a_deleted_request_takes_no_vote_and_the_try_is_on_record(
    either: SqlLedger, asked: State
) -> None:
    """Whoever has deleted it, a vote on it finds nothing and does not bring it back."""
    digest = asked.request.evidence_digest
    with either.database.write() as tx:
        tx.execute(text("DELETE FROM backbeat_events WHERE stream = 'signoff/so-1'"))
        tx.execute(text("DELETE FROM backbeat_streams WHERE stream = 'signoff/so-1'"))
    with pytest.raises(NotFound):
        vote(
            either,
            "so-1",
            choice="approve",
            actor=Actor(id="ben", method="cli"),
            evidence_digest=digest,
        )
    assert _refused(either) == [("signoff.vote", Code.UNKNOWN_REQUEST)]
    assert either.streams("signoff") == []


NASTY = ["<script>alert(1)</script>", "a\u202eb\x1b[2J", "{{ 7*7 }}", "'; DROP TABLE x;--", "\x00"]


@pytest.mark.parametrize("words", NASTY)
def test_text_is_data_wherever_it_stands(either: SqlLedger, request_of: Make, words: str) -> None:
    """It is stored as it came, and what an auditor reads does not obey it."""
    about = {words: words}
    evidence = {"facts": [{"name": words, "value": words, "note": words}]}
    request = request_of(
        quorum=1,
        four_eyes=False,
        approvers=(),
        subject=words,
        about=about,
        evidence=about,
        shown=evidence,
        workflow=words,
        requester=Actor(id=words, method="python"),
    )
    open_request(either, request)
    actor = Actor(id=words + "!", method="cli")
    more = {"reason": words, "meaning": words, "printed_name": words, "claimed_by": words}
    state = _cast(either, actor=actor, answers={}, **more)
    assert state.name == "approved"
    found = read_request(either, "so-1", clock=_at(1))
    assert (found.request.subject, found.request.about) == (words, about)
    assert (found.votes[0].reason, found.votes[0].actor.id) == (words, words + "!")
    shown = as_text(export(either, found))
    assert not {"\x1b", "\u202e", "\x00"} & set(shown)


def test_a_line_break_makes_no_line_of_ours(either: SqlLedger, request_of: Make) -> None:
    """Nobody's reason can look like another vote in what an auditor reads."""
    open_request(either, request_of(quorum=1))
    forged = "fine\n  2999-01-01  dora (dora, oidc): approve"
    _cast(either, "ben", answers={}, reason=forged)
    text_ = as_text(export(either, read_request(either, "so-1", clock=_at(1))))
    assert not [line for line in text_.splitlines() if line.startswith("  2999-01-01  dora")]


@pytest.mark.parametrize(
    "evidence",
    [{"n": float("nan")}, {"t": "\ud800"}, {"t": "x" * 1_100_000}],
)
def test_what_cannot_be_shown_is_not_asked(
    either: SqlLedger, request_of: Make, evidence: dict[str, Any]
) -> None:
    """NaN, lone surrogates and megabytes are no evidence, and no request is made of them."""
    with pytest.raises(InvalidData):
        open_request(either, request_of(evidence=evidence))
    assert either.streams("signoff") == []


def test_evidence_brings_no_rules(either: SqlLedger, request_of: Make, asked: State) -> None:
    """What lies in a stream under the mark of format 2 is data where a workflow put it in."""
    stored = asked.request.stored()
    smuggled = request_of(evidence=stored["evidence"], request_id="so-2")
    assert smuggled.rules.quorum == 2
    assert open_request(either, smuggled).request.rules.approvers == ("ana", "ben", "cleo", "dora")


def test_what_a_later_version_wrote_is_not_played(either: SqlLedger, asked: State) -> None:
    """Neither shown nor decided: what is not understood could be the end of every vote."""
    either.append(
        "signoff/so-1",
        [("frozen_by_court", {"format": 3})],
        category="signoff",
        expected=1,
        state="open",
        due=None,
        audit=[],
    )
    with pytest.raises(LedgerIncompatible):
        read_request(either, "so-1")


def test_an_approval_that_the_votes_do_not_give_is_none(either: SqlLedger, asked: State) -> None:
    """A decision that somebody wrote into the stream is held against the rules."""
    forged = {"choice": "approve", "by": ["ben", "cleo"], "at": CREATED.isoformat()}
    either.append(
        "signoff/so-1",
        [("decided", forged)],
        category="signoff",
        expected=1,
        state="approved",
        due=None,
        audit=[],
    )
    assert read_request(either, "so-1", clock=_at(1)).name == "open"


def test_version_02_reads_a_request_on_which_nobody_may_vote(asked: State) -> None:
    """What 0.2 cannot play has, for 0.2, an approver who does not exist and a default of no."""
    stored = asked.request.stored()
    assert set(stored) == {
        *("request_id", "subject", "about", "evidence", "requester", "rules"),
        *("created", "deadline", "workflow"),
    }
    assert set(stored["rules"]) == {"quorum", "approvers", "four_eyes", "default"}
    assert stored["rules"]["default"] == "reject"
    assert len(stored["rules"]["approvers"]) == 1 < stored["rules"]["quorum"]
    assert Request.model_validate(json.loads(json.dumps(stored))) == asked.request


def test_the_simple_form_is_written_as_it_was(request_of: Make) -> None:
    """Format 1 stays as 0.2 wrote it, to the byte of its digest."""
    request = request_of()
    assert request.stored()["rules"] == {
        "quorum": 2,
        "approvers": ["ana", "ben", "cleo", "dora"],
        "four_eyes": True,
        "default": "reject",
    }
    expected = "sha256:5c77dd41a22f71734e42907edd8f6d9f2bfe43a9dbf4064169a69ce0ff65a2a1"
    assert request.evidence_digest == expected


def test_a_delivery_that_comes_twice_counts_once(either: SqlLedger, asked: State) -> None:
    """Also the one that has decided; another's vote under its name is another vote."""
    _cast(either, "ben", delivery="m-1")
    first = _cast(either, "cleo", delivery="m-1")
    assert (first.name, len(first.votes)) == ("approved", 2)
    assert _cast(either, "cleo", delivery="m-1", choice="reject") == first
    assert _cast(either, "ben", delivery="m-1") == first
    assert _refused(either) == []
    assert first.votes[1].printed_name == "Cleopatra Philopator"


@pytest.mark.parametrize(
    "evidence",
    [
        {"links": [{"title": "x", "url": "javascript:alert(1)"}]},
        {"links": [{"title": "x", "url": "https://user:secret@host/"}]},
        {
            "pictures": [
                {"title": "x", "digest": "sha256:" + "0" * 64, "media_type": "image/svg+xml"}
            ]
        },
        {"tables": [{"title": "x", "columns": ["a"], "rows": [[1, 2]]}]},
        {"tables": [{"title": "x", "columns": ["a"], "rows": [[1]] * 20_001}]},
        {"facts": [{"name": "x", "value": float("inf")}]},
    ],
)
def test_evidence_that_could_act_is_none(evidence: dict[str, Any]) -> None:
    """No script, no password, no ragged table, no number without a JSON form."""
    with pytest.raises(ValueError, match="validation error"):
        Evidence.model_validate(evidence)
