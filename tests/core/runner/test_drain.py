from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backbeat import Done, Platform, embedded, run_step
from backbeat.ports import Message
from backbeat.runner.drain import drain_wait

Make = Callable[..., Any]


def test_messages_leave_by_themselves_after_a_finish(
    *,
    tmp_path: Path,
    attempt: Make,
    step_of: Make,
    start_python: Make,
    worker: str,
    folder_dump: Make,
) -> None:
    """A process that performs one step and ends has sent its START and COMPLETE."""
    source = worker.replace("    platform.sinks = {}\n", "") + "work(sys.argv[1])"
    process = start_python(source, tmp_path)
    _, errors = process.communicate("\n", timeout=60)
    assert process.returncode == 0, errors
    names = sorted(name.rpartition("-")[2] for name in folder_dump(tmp_path / "store" / "lineage"))
    assert names == ["COMPLETE.json", "START.json"]


class Held:
    """A sink that is busy with its first message until it is let go."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()
        self.delivered: list[str] = []

    def deliver(self, message: Message) -> None:
        self.entered.set()
        assert self.released.wait(60)
        self.delivered.append(message.id)


def test_a_slow_sink_does_not_make_the_step_wait(
    tmp_path: Path, attempt: Make, step_of: Make
) -> None:
    """`run_step` returns while the sink is still busy with its first message."""
    sink = Held()
    platform: Platform = embedded(tmp_path, registry=False)
    platform.sinks = {"openlineage": sink}
    run_step(step_of(lambda ctx: Done()), attempt(), platform)
    assert sink.entered.wait(60)
    assert sink.delivered == []
    sink.released.set()
    assert drain_wait(60)
    assert len(sink.delivered) == 2


def test_what_finishes_during_a_drain_leaves_with_the_next(
    tmp_path: Path, attempt: Make, step_of: Make
) -> None:
    """A second step that ends while the first one's messages are on their way is not forgotten."""
    sink = Held()
    platform: Platform = embedded(tmp_path, registry=False)
    platform.sinks = {"openlineage": sink}
    run_step(step_of(lambda ctx: Done()), attempt(run="first"), platform)
    assert sink.entered.wait(60)
    run_step(step_of(lambda ctx: Done()), attempt(run="second"), platform)
    sink.released.set()
    assert drain_wait(60)
    assert len(sink.delivered) == len({*sink.delivered}) == 4
