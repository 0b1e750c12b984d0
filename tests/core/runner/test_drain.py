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


def test_a_slow_sink_does_not_make_the_step_wait(
    tmp_path: Path, attempt: Make, step_of: Make
) -> None:
    """`run_step` returns while the sink is still busy with its first message."""
    released = threading.Event()
    delivered: list[str] = []

    class Sink:
        def deliver(self, message: Message) -> None:
            assert released.wait(60)
            delivered.append(message.id)

    platform: Platform = embedded(tmp_path, registry=False)
    platform.sinks = {"openlineage": Sink()}
    run_step(step_of(lambda ctx: Done()), attempt(), platform)
    assert delivered == []
    released.set()
    drain_wait()
    assert len(delivered) == 2
