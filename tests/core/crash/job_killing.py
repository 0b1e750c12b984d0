"""A process that dies while it scores a table by a remote job, with a ledger or without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from killing import Point, arm

from backbeat import Actor, Platform, RunIdentity, embedded, run_step
from backbeat.kinds import step_from_json


def opened(folder: str, rung: int) -> Platform:
    """A platform of this process's own."""
    platform = embedded(folder, ledger=rung > 0, registry=False)
    platform.sinks = {}
    return platform


def attempt(number: int) -> RunIdentity:
    """One attempt of the one workflow run."""
    actor = Actor(id="ana", method="python")
    return RunIdentity(workflow="nightly", run="r1", task="score", attempt=number, actor=actor)


def perform(folder: str, rung: int, step: Mapping[str, Any], point: Point) -> None:
    """The first attempt, until the process dies."""
    platform = opened(folder, rung)
    arm(platform, point)
    run_step(step_from_json(step), attempt(1), platform)
