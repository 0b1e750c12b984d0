from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backbeat import Done, Platform, embedded, run_step
from backbeat.errors import FencedOut, LeaseHeld
from backbeat.ledger import SqliteLedger
from backbeat.runner.lease import Heartbeat

Make = Callable[..., Any]
PAST = "2000-01-01T00:00:00.000000Z"


def _expire(ledger_file: Path) -> None:
    # an hour of silence, without the hour
    with closing(sqlite3.connect(ledger_file)) as connection:
        connection.execute("UPDATE backbeat_runs SET lease_until = ?", (PAST,))
        connection.commit()


def _second(tmp_path: Path) -> Platform:
    platform = embedded(tmp_path / "platform", registry=False)
    platform.sinks = {}
    return platform


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_workers_lease_is_taken_over_at_once(
    tmp_path: Path, start_python: Make, worker: str, slow: Any, *, reaped: bool
) -> None:
    """After SIGKILL the next attempt need not wait for the lease's end; its token is higher."""
    process = start_python(worker + "work(sys.argv[1])", tmp_path)
    assert process.stdout.readline() == "performing\n"
    process.send_signal(signal.SIGKILL)
    if reaped:
        process.wait()
    else:  # its parent has not noticed yet
        while "Z" not in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2][:3]:
            time.sleep(0)

    class Quick(slow.Slow):  # type: ignore[misc]
        def perform(self, ctx: Any) -> Done:
            return Done(value={"by": "successor"})

    platform = embedded(tmp_path, registry=False)
    outcome = run_step(Quick(), slow.identity(attempt=2), platform)
    assert outcome == Done(value={"by": "successor"})
    ledger = platform.ledger
    assert isinstance(ledger, SqliteLedger)
    [record] = ledger.runs()
    endings = [(item.token, item.ending) for item in ledger.attempts(record.key)]
    assert endings == [(1, "lost"), (2, "done")]


def test_a_living_workers_lease_is_respected(
    tmp_path: Path, start_python: Make, worker: str, slow: Any
) -> None:
    """While another process performs, the same work is refused with the time to wait."""
    process = start_python(worker + "work(sys.argv[1])", tmp_path)
    assert process.stdout.readline() == "performing\n"
    with pytest.raises(LeaseHeld) as caught:
        run_step(slow.Slow(), slow.identity(), embedded(tmp_path, registry=False))
    assert caught.value.retryable
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60
    assert "toy.slow/v1 for slow of run-1 is being performed" in caught.value.message
    out, _ = process.communicate("\n", timeout=60)
    assert out == "recorded {'by': 'worker'}\n"


def test_a_zombie_cannot_write_over_its_successor(
    *,
    tmp_path: Path,
    platform: Platform,
    attempt: Make,
    step_of: Make,
    ledger_file: Path,
    ledger_dump: Make,
) -> None:
    """A worker that was silent past its lease and then finishes is fenced out; nothing changes."""
    between: list[list[str]] = []
    nested: list[Any] = []

    def perform(ctx: Any) -> Done:
        if not nested:
            nested.append(None)
            _expire(ledger_file)
            nested[0] = run_step(step, attempt(attempt=2), _second(tmp_path))
            between.append(ledger_dump(ledger_file))
            return Done(value={"by": "zombie"})
        return Done(value={"by": "successor"})

    step = step_of(perform)
    with pytest.raises(FencedOut, match="a later attempt has taken over"):
        run_step(step, attempt(), platform)
    assert nested[0] == Done(value={"by": "successor"})
    assert ledger_dump(ledger_file) == between[0]
    assert run_step(step, attempt(attempt=3), platform) == Done(value={"by": "successor"})


def test_a_zombies_failure_is_not_written_either(
    tmp_path: Path, platform: Platform, attempt: Make, step_of: Make, ledger_file: Path
) -> None:
    """The error of an attempt that was taken over does not turn recorded work into a failure."""
    nested: list[Any] = []

    def perform(ctx: Any) -> Done:
        if not nested:
            nested.append(None)
            _expire(ledger_file)
            run_step(step, attempt(attempt=2), _second(tmp_path))
            raise OSError("the zombie's own trouble")
        return Done(value={"by": "successor"})

    step = step_of(perform)
    with pytest.raises(FencedOut):
        run_step(step, attempt(), platform)
    [record] = platform.ledger.runs()
    assert record.state == "done"


def test_a_zombie_learns_it_before_its_effect(
    tmp_path: Path, platform: Platform, attempt: Make, step_of: Make, ledger_file: Path
) -> None:
    """`ensure_current` stops a worker that was taken over before it changes the world."""
    effects: list[str] = []

    def perform(ctx: Any) -> Done:
        if ctx.identity.attempt == 1:
            _expire(ledger_file)
            run_step(step, attempt(attempt=2), _second(tmp_path))
        ctx.ensure_current()
        effects.append(f"attempt {ctx.identity.attempt}")
        return Done()

    step = step_of(perform)
    with pytest.raises(FencedOut):
        run_step(step, attempt(), platform)
    assert effects == ["attempt 2"]


def test_an_expired_lease_of_a_living_process_is_taken_over(
    tmp_path: Path, start_python: Make, worker: str, slow: Any
) -> None:
    """A worker that lives but has been silent past its lease loses it, and its finish too."""
    process = start_python(worker + "work(sys.argv[1])", tmp_path)
    assert process.stdout.readline() == "performing\n"
    _expire(tmp_path / "ledger.db")

    class Quick(slow.Slow):  # type: ignore[misc]
        def perform(self, ctx: Any) -> Done:
            return Done(value={"by": "successor"})

    run_step(Quick(), slow.identity(), embedded(tmp_path, registry=False))
    _, errors = process.communicate("\n", timeout=60)
    assert process.returncode == 1
    assert "FencedOut" in errors.splitlines()[-1]


class _Beats:
    """A ledger that only counts heartbeats, and can say that the lease is lost."""

    def __init__(self, enough: int, error: Exception | None = None) -> None:
        self.enough = enough
        self.error = error
        self.count = 0
        self.reached = threading.Event()

    def heartbeat(self, key: str, token: int, *, lease_seconds: float) -> None:
        self.count += 1
        if self.count >= self.enough:
            self.reached.set()
        if self.error is not None:
            raise self.error


def test_long_work_keeps_its_lease() -> None:
    """The heart beats again and again while the block lasts."""
    ledger: Any = _Beats(enough=3)
    with Heartbeat(ledger, "key", 1, seconds=0.03):
        assert ledger.reached.wait(30)


def test_a_short_lease_beats_though_a_long_one_was_there_first() -> None:
    """One thread serves all leases, and wakes for the one that is due first."""
    long: Any = _Beats(enough=1)
    short: Any = _Beats(enough=2)
    with Heartbeat(long, "long", 1, seconds=600), Heartbeat(short, "short", 1, seconds=0.03):
        assert short.reached.wait(30)
    assert long.count == 0


def test_a_lease_that_is_lost_beats_no_more() -> None:
    """After the ledger has said that another attempt took over, the worker hears it."""
    ledger: Any = _Beats(enough=1, error=FencedOut("taken"))
    other: Any = _Beats(enough=4)
    with Heartbeat(ledger, "key", 1, seconds=0.03) as lease, Heartbeat(other, "o", 1, seconds=0.03):
        assert ledger.reached.wait(30)
        assert other.reached.wait(30)
        assert ledger.count == 1
        with pytest.raises(FencedOut, match="taken"):
            lease.ensure_current()


def test_a_forked_child_has_a_heart_of_its_own(start_python: Make) -> None:
    """A lease taken after a fork beats, though the parent's thread did not cross it."""
    source = """
import os, threading
from backbeat.runner.lease import Heartbeat
class Beats:
    def __init__(self): self.reached = threading.Event()
    def heartbeat(self, key, token, *, lease_seconds): self.reached.set()
def beats():
    ledger = Beats()
    with Heartbeat(ledger, "k", 1, seconds=0.03):
        return ledger.reached.wait(30)
assert beats()
child = os.fork()
if child == 0:
    os._exit(0 if beats() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    process = start_python(source)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
