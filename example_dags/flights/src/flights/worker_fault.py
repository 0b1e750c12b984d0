"""A fault of the machine, not of the data: the worker that scores is killed with SIGKILL."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import date, timedelta

from backbeat import Platform

__all__ = ["kill_while_scoring"]

_SHARDS_BEFORE = 3


def kill_while_scoring(
    platform: Platform,
    night: date,
    *,
    timeout: float = 300,
    kill: Callable[[int], None] = lambda pid: os.kill(pid, signal.SIGKILL),
) -> int:
    """Wait until a few shards of the night's scores are there, then kill the lease's holder.

    Args:
        platform: Its ledger names the process, its store shows the shards.
        night: The night that scores tomorrow's flights.
        timeout: Seconds to wait for the worker to come that far.
        kill: Ends the process of that id.

    Returns:
        The process id that was killed.

    Raises:
        TimeoutError: The moment never came, or the worker was faster than the fault.
    """
    tomorrow = (night + timedelta(days=1)).isoformat()
    manifest = f"scores/flights/{tomorrow}/_manifest/"
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        # the store is looked at often and the ledger only then: the window is short
        looked = time.monotonic()
        if len([*platform.store.keys(manifest)]) >= _SHARDS_BEFORE:
            for record in platform.ledger.runs(state="claimed"):
                if record.kind == "inference.batch/v1" and record.owner:
                    pid = int(record.owner.rsplit("/", 2)[1])
                    kill(pid)
                    return pid
            raise TimeoutError("the worker had finished before it could be killed")
        # looking at a bucket must not be what slows its writers
        time.sleep(max(0.002, 4 * (time.monotonic() - looked)))
    raise TimeoutError(f"nothing was scored for {tomorrow} within {timeout:.0f} s")
