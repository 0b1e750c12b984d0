"""The ledger's own two commits, and the append of a request and of a vote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import killing
import pytest
from killing import Point
from parcels import step

from backbeat import Actor, Waiting
from backbeat.errors import Refused
from backbeat.ports import Message
from backbeat.signoff import read_request, vote

NOTE = step("lineage.log", facts={"rows": "3"})
ASKED = step("signoff.request", subject="Promote", approvers=["ada", "grace"], quorum=2)
COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"
# in PostgreSQL a claim and a finish are one statement each: there is no inside of their commits
COMMITS = {
    "claim-before": Point("before", "ledger.claim"),
    "claim-inside": Point("before", COMMIT),
    "claim-after": Point("after", "ledger.claim"),
    "finish-before": Point("before", "ledger.finish"),
    "finish-inside": Point("before", COMMIT, nth=2),
    "finish-after": Point("after", "ledger.finish"),
}
STATE = {"claim-before": None, "claim-inside": None, "finish-after": "done"}


class Box:
    """A sink that keeps the ids of what it gets."""

    def __init__(self) -> None:
        self.got: list[str] = []

    def deliver(self, message: Message) -> None:
        self.got.append(message.id)


@pytest.fixture(params=["sqlite", "postgres"])
def tries(request: pytest.FixtureRequest, attempts: Callable[..., Any]) -> Any:
    """Attempts over an empty ledger on each database."""
    postgres = request.param == "postgres"
    made = attempts(ledger=request.getfixturevalue("new_database")() if postgres else None)
    with closing(_ledger(made)) as ledger:
        ledger.check()  # a first use makes the schema, in commits of its own
    return made


CELLS = [
    (database, window)
    for database in ("sqlite", "postgres")
    for window in COMMITS
    if database == "sqlite" or not window.endswith("inside")
]


@pytest.mark.parametrize(("tries", "window"), CELLS, indirect=["tries"])
def test_one_record(window: str, tries: Any) -> None:
    """Recorded once under the first token that lived, with one COMPLETE among its messages."""
    tries.killed(NOTE, COMMITS[window])
    with closing(_ledger(tries)) as ledger:
        found = [record.state for record in ledger.runs()]
        wanted = STATE.get(window, "claimed")
        assert found == ([] if wanted is None else [wanted])

    outcome = tries.performed(NOTE)
    assert outcome.value == {"rows": "3"}
    assert tries.performed(NOTE, 3) == outcome
    with closing(_ledger(tries)) as ledger:
        (record,) = ledger.runs()
        endings = [found.ending for found in ledger.attempts(record.key)]
        assert endings == (["lost", "done"] if wanted == "claimed" else ["done"])
        box = Box()
        ledger.drain({"openlineage": box}, limit=100)
    kinds = [name.rpartition("-")[2] for name in box.got]
    assert kinds.count("COMPLETE") == 1
    assert kinds.count("START") == len(endings)
    assert len(set(box.got)) == len(box.got)


REQUESTS = {
    "before": Point("before", "ledger.append"),
    "inside": Point("before", COMMIT, nth=2),
    "after": Point("after", "ledger.append"),
    "recorded": Point("after", "ledger.finish"),
}


@pytest.mark.parametrize("window", REQUESTS)
def test_one_request(window: str, tries: Any) -> None:
    """People are asked once, under the same id, whichever attempt asked them."""
    point = REQUESTS[window]
    if tries.ledger and window == "inside":
        point = Point("before", COMMIT)  # the claim takes none
    tries.killed(ASKED, point)
    with closing(_ledger(tries)) as ledger:
        asked = [info.version for info in ledger.streams("signoff")]
    assert asked == ([1] if window in {"after", "recorded"} else [])

    waiting = tries.performed(ASKED)
    assert isinstance(waiting, Waiting)
    assert tries.performed(ASKED, 3) == waiting
    with closing(_ledger(tries)) as ledger:
        (info,) = ledger.streams("signoff")
        assert (info.stream, info.version) == (f"signoff/{waiting.request_id}", 1)


VOTES = {
    "before": Point("before", "ledger.append"),
    "inside": Point("before", COMMIT),
    "after": Point("after", "ledger.append"),
}


@pytest.mark.parametrize("window", VOTES)
def test_one_vote(window: str, tries: Any, die: Callable[..., None]) -> None:
    """A vote counts once: who votes again after a crash is told that they have."""
    request_id = tries.performed(ASKED, 1).request_id
    with closing(_ledger(tries)) as ledger:
        shown = read_request(ledger, request_id).request.evidence_digest
    at = datetime.now(UTC)
    die(killing.cast, str(tries.folder), tries.ledger, request_id, shown, at, VOTES[window])
    with closing(_ledger(tries)) as ledger:
        counted = [cast.actor.id for cast in read_request(ledger, request_id).votes]
        assert counted == (["ada"] if window == "after" else [])
        if window == "after":
            with pytest.raises(Refused, match="ada has voted already"):
                _approve(ledger, request_id, shown, "ada")
        else:
            _approve(ledger, request_id, shown, "ada")
        _approve(ledger, request_id, shown, "grace")
    assert tries.performed(ASKED).value["by"] == ["ada", "grace"]


def _approve(ledger: Any, request_id: str, shown: str, who: str) -> None:
    actor = Actor(id=who, method="python")
    vote(ledger, request_id, choice="approve", actor=actor, evidence_digest=shown)


def _ledger(tries: Any) -> Any:
    return killing.opened(str(tries.folder), tries.ledger).ledger
