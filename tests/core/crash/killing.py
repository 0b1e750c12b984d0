"""A process that dies at one exact point of its work, by a real SIGKILL.

Nothing in the product knows of it: a port is wrapped, or a function of a library is, in the process
that is to die.
"""

from __future__ import annotations

import os
import pkgutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from parcels import attempt

from backbeat import Actor, Platform, embedded, run_step
from backbeat.alerts import Alert, Told
from backbeat.kinds import step_from_json
from backbeat.signoff import vote

PORTS = ("store", "registry", "ledger")


@dataclass(frozen=True)
class Point:
    """Where the process dies.

    Args:
        when: Right before the call, or right after it.
        what: A port's method (`store.write`), or a library's function (`os:replace`).
        nth: In which call.
    """

    when: Literal["before", "after"]
    what: str
    nth: int = 1


class Wrapped:
    """Anything, with one method put in another's place."""

    def __init__(self, inner: Any, name: str, replaced: Callable[..., Any]) -> None:
        self._inner = inner
        self._replaced = {name: replaced}

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._inner, name)


def deadly(call: Callable[..., Any], point: Point) -> Callable[..., Any]:
    """The same call, which kills its process at the point."""
    calls = 0

    def called(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != point.nth:
            return call(*args, **named)
        if point.when == "after":
            call(*args, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # the signal may be a moment on its way
        raise AssertionError(point)

    return called


def arm(platform: Platform, point: Point) -> None:
    """Make this process die at the point."""
    port, _, method = point.what.partition(".")
    if port in PORTS:
        inner = getattr(platform, port)
        vars(platform)[port] = Wrapped(inner, method, deadly(getattr(inner, method), point))
        return
    place, _, name = point.what.rpartition("." if "." in point.what.partition(":")[2] else ":")
    owner = pkgutil.resolve_name(place)
    setattr(owner, name, deadly(getattr(owner, name), point))


def opened(folder: str, ledger: str | None) -> Platform:
    """A platform of this process's own, whose outbox nobody drains in the background."""
    platform = embedded(folder, ledger=True if ledger is None else ledger)
    platform.sinks = {}
    return platform


def perform(folder: str, ledger: str | None, step: Mapping[str, Any], point: Point) -> None:
    """The first attempt at a step, until the process dies."""
    platform = opened(folder, ledger)
    arm(platform, point)
    run_step(step_from_json(step), attempt(), platform)


def drain(folder: str, ledger: str | None, url: str | None, point: Point) -> None:
    """Send the outbox's messages to an endpoint, or to files, until the process dies."""
    platform = embedded(folder, ledger=True if ledger is None else ledger, lineage_url=url)
    arm(platform, point)
    platform.ledger.drain(platform.sinks, limit=100)


def cast(
    folder: str, ledger: str | None, request_id: str, shown: str, at: datetime, point: Point
) -> None:
    """Ada approves a request, until the process dies."""
    platform = opened(folder, ledger)
    arm(platform, point)
    vote(
        platform.ledger,
        request_id,
        choice="approve",
        actor=Actor(id="ada", method="python"),
        evidence_digest=shown,
        clock=lambda: at,
    )


def tell(folder: str, heard: str, alert: Alert, partition: str, point: Point) -> None:
    """Tell people of what was found in a batch, as an orchestrator does, until the process dies."""
    platform = opened(folder, None)
    arm(platform, point)
    told_people(platform, heard, alert, partition)


def told_people(platform: Platform, heard: str, alert: Alert, partition: str) -> None:
    """Ask if it is news, tell, and note it; people are a file of what they have heard."""
    known = Told(platform.store, "monitors/night", alert.kind)
    news = known.is_news(alert)
    if news:
        with Path(heard).open("a") as people:
            people.write(f"{partition}\n")
    known.note(partition, alert, told=news)
