"""Whom chaos kills, when, and how the killed part comes back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from backbeat.errors import BackbeatError
from backbeat.ports import RunRecord
from backbeat.wiring import from_settings
from flights.processes import Parts

__all__ = ["Kill", "Killer"]

# how often each is chosen: what works is killed more often than what watches
_WEIGHTS = {
    "airflow": {"worker": 6, "scheduler": 1, "triggerer": 1, "mlflow": 3, "postgres": 4},
    "dagster": {"worker": 6, "daemon": 2, "mlflow": 3, "postgres": 4},
}
_MOMENT = (0.0, 1.5)  # seconds after an attempt was seen to perform
# of the attempts at a piece of work: the first is often killed, a later one less and less, so that
# the kills are spread over the season, and a step comes to its end
_CHANCE = (0.8, 0.4, 0.2, 0.0)
_QUIET_CHANCE = 0.15  # of killing a part while nothing performs, at each look
_DOWN = (0.2, 4.0)  # seconds that a part stays away
_WORKER_SECONDS = 20.0
_IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Kill:
    """One kill.

    Args:
        victim: The part.
        at: Seconds since the first night began.
        window: What was going on: the claimed work's kinds.
        down: Seconds until it was started again; None where its own supervisor does that.
    """

    victim: str
    at: float
    window: str
    down: float | None

    def __str__(self) -> str:
        back = f", back after {self.down:.1f} s" if self.down is not None else ""
        return f"{self.at:6.1f} s  {self.victim} killed during {self.window}{back}"


@dataclass
class Killer:
    """Kills parts of one season.

    Args:
        parts: The orchestrator's parts.
        services: MLflow and the database.
        settings: The platform's settings, to see who holds a lease.
        chance: Decides whom and when.
        orchestrator: `airflow` or `dagster`.
        say: Told of each kill.
    """

    parts: Parts
    services: Parts
    settings: Mapping[str, str]
    chance: random.Random
    orchestrator: str
    say: Callable[[str], None]
    done: list[Kill] = field(default_factory=list)
    _began: float = 0.0
    _seen: set[tuple[str, int]] = field(default_factory=set)
    _returning: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._platform = from_settings(self.settings)

    def wait_for_first_night(self, player: subprocess.Popen[bytes]) -> None:
        """Let the parts come up: the fire begins with the first claimed step."""
        while player.poll() is None and not self._claimed() and not self._any_run():
            time.sleep(0.2)
        self._began = time.monotonic()

    def kill_one(self, player: subprocess.Popen[bytes]) -> None:
        """Wait for an attempt that was not looked at yet, choose, kill, let the part come back."""
        if not self._worth_it(player):
            return
        weights = {
            victim: weight
            for victim, weight in _WEIGHTS[self.orchestrator].items()
            if victim == "worker" or self._home(victim) is not None
        }
        victim = self.chance.choices([*weights], weights=[*weights.values()])[0]
        down, moment = self.chance.uniform(*_DOWN), self.chance.uniform(*_MOMENT)
        time.sleep(moment)
        if victim == "worker":
            self._kill_worker(player)
        else:
            self._kill_part(victim, down)

    def _worth_it(self, player: subprocess.Popen[bytes]) -> bool:
        end = time.monotonic() + _IDLE_SECONDS
        while player.poll() is None and time.monotonic() < end:
            for record in self._claimed():
                seen = (record.key, record.token)
                if seen not in self._seen:
                    self._seen.add(seen)
                    again = sum(key == record.key for key, _ in self._seen) - 1
                    return self.chance.random() < _CHANCE[min(again, len(_CHANCE) - 1)]
            time.sleep(0.02)
        return player.poll() is None and self.chance.random() < _QUIET_CHANCE

    def finish(self) -> None:
        """Wait until whatever was killed is back."""
        for thread in self._returning:
            thread.join(60)

    def _kill_worker(self, player: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _WORKER_SECONDS
        while time.monotonic() < end and player.poll() is None:
            for record in self._claimed():
                pid = _pid_of(record)
                if pid is not None and _lives(pid):
                    self._seen.add((record.key, record.token))
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self._note("worker", record.kind, None)
                        return
            time.sleep(0.05)

    def _kill_part(self, victim: str, down: float) -> None:
        home = self._home(victim)
        if home is None or victim not in home.alive():
            return
        window = ", ".join(sorted({record.kind for record in self._claimed()})) or "no claimed step"
        home.kill(victim)
        self._note(victim, window, down)

        def come_back() -> None:
            time.sleep(down)
            home.restart(victim)

        thread = threading.Thread(target=come_back, daemon=True)
        thread.start()
        self._returning.append(thread)

    def _note(self, victim: str, window: str, down: float | None) -> None:
        self.done.append(Kill(victim, time.monotonic() - self._began, window, down))
        self.say(f"  {self.done[-1]}")

    def _home(self, victim: str) -> Parts | None:
        for home in (self.parts, self.services):
            with suppress(KeyError):
                home.settings(victim)
                return home
        return None

    def _claimed(self) -> list[RunRecord]:
        with suppress(BackbeatError):
            return self._platform.ledger.runs(state="claimed")
        return []

    def _any_run(self) -> bool:
        with suppress(BackbeatError):
            return bool(self._platform.ledger.runs(limit=1))
        return False


def _pid_of(record: RunRecord) -> int | None:
    if record.owner is None:
        return None
    return int(record.owner.rsplit("/", 2)[1])


def _lives(pid: int) -> bool:
    """Whether the process can still be killed: one that waits to be reaped is dead."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
