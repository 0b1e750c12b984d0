"""Toy steps: what they do is said by the test."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import pytest

from backbeat import Outcome, Step
from backbeat.ports import Need
from backbeat.step import Replay, StepContext

# a step that other processes import too; it tells when it performs, and waits to be told to end
WORKER = """
import sys
from typing import ClassVar
from backbeat import Actor, Done, RunIdentity, Step, embedded, run_step

class Slow(Step):
    kind: ClassVar[str] = "toy.slow/v1"
    needs: ClassVar[frozenset] = frozenset()
    def perform(self, ctx):
        print("performing", flush=True)
        sys.stdin.readline()
        return Done(value={"by": "worker"})

def identity(attempt=1):
    actor = Actor(id="ana", method="python")
    return RunIdentity(workflow="nightly", run="run-1", task="slow", attempt=attempt, actor=actor)

def work(folder, lease_seconds=60.0):
    platform = embedded(folder, registry=False)
    platform.sinks = {}
    outcome = run_step(Slow(), identity(), platform, lease_seconds=float(lease_seconds))
    print("recorded", outcome.value, flush=True)
"""


@pytest.fixture
def step_of() -> Callable[..., Step]:
    """Builds a step around a function."""

    def build(
        perform: Callable[[StepContext], Any],
        *,
        needs: frozenset[Need] = frozenset(),
        replay: Replay = Replay.RECORDED,
        resolve: Callable[[StepContext], dict[str, str]] | None = None,
        **fields: Any,
    ) -> Step:
        wanted, meaning = needs, replay

        class Toy(Step):
            kind: ClassVar[str] = "toy.step/v1"
            needs: ClassVar[frozenset[Need]] = wanted
            replay: ClassVar[Replay] = meaning

            note: Any = None

            def perform(self, ctx: StepContext) -> Outcome:
                found: Outcome = perform(ctx)
                return found

            def resolve(self, ctx: StepContext) -> dict[str, str]:
                return resolve(ctx) if resolve else {}

        return Toy(**fields)

    return build


@pytest.fixture
def worker() -> str:
    """Source of a module with a slow step and `work(folder)`, for real processes."""
    return WORKER


@pytest.fixture
def slow() -> ModuleType:
    """The same module in this process."""
    module = ModuleType("slow_step")
    exec(WORKER, vars(module))  # noqa: S102 - the very source that the workers run
    return module
