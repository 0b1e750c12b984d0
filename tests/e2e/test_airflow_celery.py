"""Airflow's CeleryExecutor: two workers and two schedulers on one ledger; a worker dies."""

from __future__ import annotations

import os
import signal
import threading
from datetime import date
from typing import Any

import pytest

from flights.table import ledger_rows, unexpected
from flights.worker_fault import kill_while_scoring

NIGHT = "2013-06-15"
pytestmark = pytest.mark.timeout(1200)


def test_the_other_worker_finishes_what_a_killed_one_began(celery: Any) -> None:
    """SIGKILL of a whole worker in the middle of scoring costs time, and neither a row nor a step.

    Two schedulers are at work all the while: no step is performed twice but the one that was cut.
    """
    platform, parts = celery.platform(), celery.parts
    assert {"scheduler", "scheduler-2", "worker-1", "worker-2"} <= set(parts.alive())
    killed: list[str] = []

    def kill(pid: int) -> None:
        # halted first: it could score to the end while its worker is looked up
        os.kill(pid, signal.SIGSTOP)
        killed.append(str(parts.part_of(pid)))
        parts.kill(killed[0])

    def wait() -> None:
        kill_while_scoring(platform, date.fromisoformat(NIGHT), timeout=600, kill=kill)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    celery.run("play_season", str(celery.folder), "--keep", "--nights", NIGHT)
    thread.join(timeout=5)

    assert killed in (["worker-1"], ["worker-2"])
    assert not {*killed} & set(parts.alive())
    (row,) = [row for row in ledger_rows(platform) if row.night == NIGHT]
    assert unexpected([row]) == []
    assert row.attempts == 2
    assert row.reused > 0

    performed = [run for run in platform.ledger.runs() if NIGHT in str(run.identity)]
    by_kind = {run.kind: platform.ledger.attempts(run.key) for run in performed}
    assert {kind: len(attempts) for kind, attempts in by_kind.items()} == {
        "quality.check/v1": 1,
        "drift.check/v1": 1,
        "inference.batch/v1": 2,
    }
    # the second attempt had another owner, and the first one's lease was not waited for
    first, second = by_kind["inference.batch/v1"]
    assert first.owner != second.owner


def test_nothing_of_it_listens_beyond_this_machine(celery: Any, listening: Any) -> None:
    """Schedulers, workers and the triggerer serve no logs; the API answers on the loopback."""
    addresses = listening(celery.parts)
    assert {"api-server", "scheduler", "scheduler-2", "triggerer"} <= set(addresses)
    assert set().union(*addresses.values()) <= {"127.0.0.1"}
    assert addresses["api-server"] == {"127.0.0.1"}
