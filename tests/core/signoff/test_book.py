from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbeat import Actor
from backbeat.errors import NotFound, Refused
from backbeat.ledger import SqliteLedger
from backbeat.signoff import (
    Request,
    open_request,
    read_request,
    requests,
    settle_due,
    vote,
    withdraw,
)

Make = Callable[..., Any]
CREATED = datetime(2999, 1, 1, tzinfo=UTC)


def _at(hours: float) -> Callable[[], datetime]:
    return lambda: CREATED + timedelta(hours=hours)


def _vote(
    ledger: SqliteLedger, request: Request, who: str, choice: Any = "approve", **more: Any
) -> Any:
    known: dict[str, Any] = {
        "choice": choice,
        "actor": Actor(id=who, method="cli"),
        "evidence_digest": request.evidence_digest,
        "clock": _at(1),
    }
    return vote(ledger, request.request_id, **{**known, **more})


def _audited(ledger: SqliteLedger, rows: Make) -> list[tuple[str, str]]:
    query = "SELECT action, outcome FROM backbeat_audit_log ORDER BY position"
    return [(row["action"], row["outcome"]) for row in rows(ledger.path, query)]


def test_a_quorum_of_distinct_people_approves(
    ledger: SqliteLedger, request_of: Make, rows: Make
) -> None:
    """The last vote that is needed decides, and everything is audited in order."""
    request = request_of()
    assert open_request(ledger, request).name == "open"
    assert _vote(ledger, request, "ben").name == "open"
    state = _vote(ledger, request, "cleo")
    assert state.name == "approved"
    assert state.decision.by == ("ben", "cleo")
    assert _audited(ledger, rows) == [
        ("signoff.request", "ok"),
        ("signoff.vote", "ok"),
        ("signoff.vote", "ok"),
        ("signoff.decide", "ok"),
    ]


def test_one_rejection_rejects(ledger: SqliteLedger, request_of: Make) -> None:
    """A no from somebody who may vote decides at once."""
    request = request_of()
    open_request(ledger, request)
    _vote(ledger, request, "ben")
    assert _vote(ledger, request, "cleo", "reject").decision.by == ("cleo",)


@pytest.mark.parametrize(
    ("who", "more", "reason"),
    [
        ("ana", {}, "ana made the request, and four eyes are demanded"),
        ("zoe", {}, "zoe is not among the approvers"),
        ("ben", {}, "ben has voted already"),
        ("cleo", {"evidence_digest": "sha256:what I saw last week"}, "bound to other evidence"),
        ("cleo", {"actor": Actor(id="cleo", method="anonymous")}, "anonymous is refused"),
    ],
)
def test_a_refused_vote_is_on_record_and_changes_nothing(
    *,
    ledger: SqliteLedger,
    request_of: Make,
    rows: Make,
    who: str,
    more: dict[str, Any],
    reason: str,
) -> None:
    """The refusal says why, is audited as refused, and the request stays as it was."""
    request = request_of()
    open_request(ledger, request)
    _vote(ledger, request, "ben")
    before = read_request(ledger, "so-1", clock=_at(1))
    with pytest.raises(Refused, match=reason):
        _vote(ledger, request, who, reason="because", **more)
    assert read_request(ledger, "so-1", clock=_at(1)) == before
    assert _audited(ledger, rows)[-1] == ("signoff.vote", "refused")
    [body] = rows(ledger.path, "SELECT body FROM backbeat_audit_log ORDER BY position DESC LIMIT 1")
    assert list(json.loads(body["body"])["personal"]) == ["reason"]
    assert b"because" not in body["body"]


def test_the_requester_may_vote_where_four_eyes_are_off(
    ledger: SqliteLedger, request_of: Make
) -> None:
    """The rule is a rule of the request, not of the person."""
    request = request_of(quorum=1, four_eyes=False)
    open_request(ledger, request)
    assert _vote(ledger, request, "ana").name == "approved"


def test_a_vote_after_the_decision_is_refused(ledger: SqliteLedger, request_of: Make) -> None:
    """What is decided stays decided, and the late voter is told by whom."""
    request = request_of(quorum=1)
    open_request(ledger, request)
    _vote(ledger, request, "ben")
    with pytest.raises(Refused, match="it was approved by ben"):
        _vote(ledger, request, "cleo", "reject")
    assert read_request(ledger, "so-1").name == "approved"


@pytest.mark.parametrize(("default", "name"), [("approve", "approved"), ("reject", "rejected")])
def test_the_deadline_decides_by_its_default(
    ledger: SqliteLedger, request_of: Make, rows: Make, default: str, name: str
) -> None:
    """Whoever looks after the deadline records the default, once, by system:deadline."""
    request = request_of(default=default)
    open_request(ledger, request)
    _vote(ledger, request, "ben")
    assert read_request(ledger, "so-1", clock=_at(23.9)).name == "open"
    late = read_request(ledger, "so-1", clock=_at(24))
    assert (late.name, late.decision.by) == (name, ("system:deadline",))  # type: ignore[union-attr]
    assert read_request(ledger, "so-1", clock=_at(48)) == late
    assert [row for row in _audited(ledger, rows) if row[0] == "signoff.decide"] == [
        ("signoff.decide", "ok")
    ]
    with pytest.raises(Refused, match=f"it was {name} by system:deadline"):
        _vote(ledger, request, "cleo", clock=_at(25))


def test_a_vote_after_the_deadline_finds_the_default(
    ledger: SqliteLedger, request_of: Make
) -> None:
    """Nobody had looked since the deadline: the late vote itself settles the request first."""
    request = request_of(quorum=1, default="reject")
    open_request(ledger, request)
    with pytest.raises(Refused, match="it was rejected by system:deadline"):
        _vote(ledger, request, "ben", clock=_at(24))


def test_settling_records_what_is_due_only(ledger: SqliteLedger, request_of: Make) -> None:
    """A tick settles each request past its deadline, and no other."""
    open_request(ledger, request_of())
    later = request_of(request_id="so-2", deadline=CREATED + timedelta(days=9))
    open_request(ledger, later)
    ledger.database.now = _at(24)  # type: ignore[method-assign]
    assert settle_due(ledger, clock=_at(24)) == 1
    assert settle_due(ledger, clock=_at(24)) == 0
    states = {state.request.request_id: state.name for state in requests(ledger, clock=_at(24))}
    assert states == {"so-1": "rejected", "so-2": "open"}
    assert [item.request.request_id for item in requests(ledger, state="open", clock=_at(24))] == [
        "so-2"
    ]


def test_asking_twice_is_asking_once(ledger: SqliteLedger, request_of: Make, rows: Make) -> None:
    """A retry of the asking step finds its request, with its votes and its first deadline."""
    request = request_of()
    open_request(ledger, request)
    _vote(ledger, request, "ben")
    again = open_request(ledger, request_of(deadline=CREATED + timedelta(days=30)))
    assert again.request.deadline == request.deadline
    assert len(again.votes) == 1
    assert _audited(ledger, rows).count(("signoff.request", "ok")) == 1


def test_an_unknown_request_is_named(ledger: SqliteLedger) -> None:
    """Reading or voting on what does not exist is NotFound."""
    with pytest.raises(NotFound, match="there is no sign-off request so-0"):
        read_request(ledger, "so-0")


def test_two_voters_at_once_lose_no_vote(
    ledger: SqliteLedger, request_of: Make, start_python: Make, rows: Make
) -> None:
    """Processes that vote at the same moment are all counted, each exactly once."""
    request = request_of(quorum=4, approvers=())
    open_request(ledger, request)
    source = """
import sys
from backbeat import Actor
from backbeat.ledger import SqliteLedger
from backbeat.signoff import vote
ledger = SqliteLedger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
actor = Actor(id=sys.argv[2], method="cli")
vote(ledger, "so-1", choice="approve", actor=actor, evidence_digest=sys.argv[3])
"""
    names = ["ben", "cleo", "dora", "emil"]
    processes = [start_python(source, ledger.path, name, request.evidence_digest) for name in names]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    state = read_request(ledger, "so-1")
    assert state.name == "approved"
    assert sorted(item.actor.id for item in state.votes) == names
    assert _audited(ledger, rows).count(("signoff.vote", "ok")) == 4
    assert _audited(ledger, rows).count(("signoff.decide", "ok")) == 1


def test_a_withdrawn_request_takes_no_vote(
    ledger: SqliteLedger, request_of: Make, rows: Make
) -> None:
    """Nobody waits for it any more: it is rejected by the system, on record, and stays so."""
    request = request_of()
    open_request(ledger, request)
    _vote(ledger, request, "ben")
    state = withdraw(ledger, request.request_id, clock=_at(1))
    assert (state.name, state.decision.by) == ("rejected", ("system:withdrawn",))
    with pytest.raises(Refused, match="it was rejected by system:withdrawn"):
        _vote(ledger, request, "cleo")
    assert withdraw(ledger, request.request_id, clock=_at(2)) == state
    assert _audited(ledger, rows)[2:] == [("signoff.decide", "ok"), ("signoff.vote", "refused")]


def test_a_decided_request_cannot_be_withdrawn(ledger: SqliteLedger, request_of: Make) -> None:
    """What people have approved stays approved."""
    request = request_of()
    open_request(ledger, request)
    _vote(ledger, request, "ben")
    _vote(ledger, request, "cleo")
    assert withdraw(ledger, request.request_id, clock=_at(2)).name == "approved"
