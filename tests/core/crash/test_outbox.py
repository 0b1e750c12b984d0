"""Messages on their way from the outbox to a folder or an endpoint, killed in every window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import killing
import pytest
from killing import Point
from parcels import step
from receiver import Receiver, receiving

from backbeat import embedded

COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"
POINTS = {
    "before": Point("before", "ledger.drain"),
    "before-taken": Point("before", COMMIT),
    "taken": Point("after", COMMIT),
    "inside": Point("after", "os:replace"),
    "after": Point("after", "backbeat.lineage:FileSink.deliver"),
    "after-all": Point("before", COMMIT, nth=2),
    "deleted": Point("after", "ledger.drain"),
}
CALLS = {
    "before": Point("before", "backbeat.lineage:HttpSink.deliver"),
    "inside": Point("before", "urllib3.connection:HTTPConnection.getresponse"),
    "after": Point("after", "backbeat.lineage:HttpSink.deliver"),
    "after-all": Point("before", COMMIT, nth=2),
    "deleted": Point("after", "ledger.drain"),
}
# requests that the receiver hears before the kill
HEARD = {"before": 0, "inside": 1, "after": 1, "after-all": 2, "deleted": 2}


@pytest.fixture(params=["sqlite", "postgres"])
def tries(request: pytest.FixtureRequest, attempts: Callable[..., Any]) -> Any:
    """Attempts that have left a START and a COMPLETE in an outbox on each database."""
    postgres = request.param == "postgres"
    made = attempts(ledger=request.getfixturevalue("new_database")() if postgres else None)
    made.performed(step("lineage.log", facts={"rows": "3"}), 1)
    return made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint of this test's own."""
    with receiving() as found:
        yield found


@pytest.mark.parametrize("window", POINTS)
def test_one_file_a_message(window: str, tries: Any, die: Callable[..., None]) -> None:
    """Each event is a whole file, once, however often its message was taken."""
    die(killing.drain, str(tries.folder), tries.ledger, None, POINTS[window])
    early = _kinds(tries)
    assert len(early) == {"inside": 1, "after": 1, "after-all": 2, "deleted": 2}.get(window, 0)

    left = _drain_later(tries, None)
    assert left == (0 if window == "deleted" else 2)
    assert _kinds(tries) == ["COMPLETE", "START"]
    assert _drain_later(tries, None) == 0


@pytest.mark.parametrize("window", CALLS)
def test_one_message_a_key(
    window: str, tries: Any, die: Callable[..., None], receiver: Receiver
) -> None:
    """A call that was in flight is made again under its key: who honours keys keeps one of each."""
    die(killing.drain, str(tries.folder), tries.ledger, receiver.url, CALLS[window])
    end = time.monotonic() + 60
    while len(receiver.requests) < HEARD[window]:  # what a dead process has sent still arrives
        assert time.monotonic() < end
        time.sleep(0.01)

    left = _drain_later(tries, receiver.url)
    assert left == (0 if window == "deleted" else 2)
    assert sorted(name.rpartition("-")[2] for name in receiver.kept) == ["COMPLETE", "START"]
    assert len(receiver.requests) == HEARD[window] + left
    for headers, body in receiver.requests:
        assert body == receiver.kept[headers["idempotency-key"]]
    assert _drain_later(tries, receiver.url) == 0


def _drain_later(tries: Any, url: str | None) -> int:
    """Drain once what a dead drainer held is due again; returns how many were delivered."""
    ledger = True if tries.ledger is None else tries.ledger
    platform = embedded(tries.folder, ledger=ledger, lineage_url=url)
    with closing(platform.ledger):  # type: ignore[type-var]
        with platform.ledger.database.write() as tx:  # type: ignore[attr-defined]
            tx.exec_driver_sql("UPDATE backbeat_outbox SET next_at = '2000-01-01T00:00:00.000000Z'")
        return platform.ledger.drain(platform.sinks, limit=100)


def _kinds(tries: Any) -> list[str]:
    keys = embedded(tries.folder).store.keys("lineage/")
    return sorted(key.removesuffix(".json").rpartition("-")[2] for key in keys)
