"""How many requests at a time: AIMD, which the client uses, beside Gradient2, in simulated time.

`python benchmarks/bench_limit.py [--seconds 60] [--seeds 3] [--most 32]`: the server has 8 slots,
an answer takes about 20 ms of one, and what finds no slot waits in line; a request that finds the
line full is refused at once, and one that waits longer than two seconds is given up, though the
server still works on it. Workers always want another answer, as batch scoring does, up to --most
at a time. Time is simulated: the limits are the real code on a clock that jumps. In the middle
third of each scene something happens:

steady      nothing
halved      the server does half as much
slower      answers take five times as long, and none is refused
outage      every request is refused
short line  the line has 8 places all the time, and the server does half as much in the middle
shared      nothing, but two workers with limits of their own share the server

Goodput is answers a second; p99 is of the time between sending and the answer. Gradient2 is
Netflix's (concurrency-limits, `Gradient2Limit`): g = clamp(tolerance * long / short, 0.5, 1), and
the limit goes towards g * limit + queue. It has no word for a refusal; here it takes AIMD's.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import selectors
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from backbeat.inference.limit import Limit

SLOTS = 8
SERVICE_SECONDS = 0.02
LINE = 1000
TIME_OUT = 2.0
PAUSE = 0.05


class Clock(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Nothing comes from outside."""
        self.now += timeout or 0.0
        return super().select(0)


def simulated(course: Callable[[], Any]) -> Any:
    """Run a coroutine on a clock that jumps."""
    clock = Clock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(course())
    finally:
        loop.close()


class Aimd(Limit):
    """What the client uses; it does not look at times."""

    def done(self, number: int, *, too_much: bool, seconds: float) -> None:
        """A request has ended."""
        self.leave(number, too_much=too_much)


class Gradient2(Limit):
    """Netflix's Gradient2 with its usual numbers, and AIMD's answer to a refusal."""

    TOLERANCE, QUEUE, SMOOTHING, WINDOW, LEAST, WARM_UP = 1.5, 4.0, 0.2, 600, 5.0, 10

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._limit = min(20.0, self._most)
        self._long = 0.0
        self._seen = 0

    def done(self, number: int, *, too_much: bool, seconds: float) -> None:
        """A request has ended."""
        if too_much:
            self.leave(number, too_much=True)
            return
        used = self._used
        self._used -= 1
        self._seen += 1
        if self._seen <= self.WARM_UP:
            self._long += (seconds - self._long) / self._seen
        else:
            self._long += (seconds - self._long) * 2 / (self.WINDOW + 1)
        if self._long / seconds > 2:
            self._long *= 0.95
        # who does not use the limit learns nothing about it
        if used >= self._limit / 2:
            gradient = max(0.5, min(1.0, self.TOLERANCE * self._long / seconds))
            wanted = gradient * self._limit + self.QUEUE
            new = self._limit * (1 - self.SMOOTHING) + wanted * self.SMOOTHING
            self._limit = max(self.LEAST, min(self._most, new))
        self._hand_on()


@dataclass(frozen=True)
class Scene:
    """What the server is in the middle third."""

    name: str
    slower: float = 1.0
    refuses: bool = False
    line: int = LINE
    workers: int = 1


SCENES = (
    Scene("steady"),
    Scene("halved", slower=2.0),
    Scene("slower", slower=5.0),
    Scene("outage", refuses=True),
    Scene("short line", slower=2.0, line=8),
    Scene("shared", workers=2),
)


@dataclass
class Server:
    """Slots and a line before them."""

    scene: Scene
    seconds: float
    chance: Random
    free_at: list[float] = field(default_factory=lambda: [0.0] * SLOTS)

    async def answer(self) -> bool:
        """Whether the request is answered; False where it is refused, at once."""
        now = asyncio.get_running_loop().time()
        middle = self.seconds / 3 <= now < self.seconds * 2 / 3
        if middle and self.scene.refuses:
            return False
        waiting = sum(max(0.0, at - now) for at in self.free_at) / SERVICE_SECONDS
        if waiting > self.scene.line + SLOTS:
            return False
        took = self.chance.lognormvariate(0.0, 0.3) * SERVICE_SECONDS
        took *= self.scene.slower if middle else 1.0
        began = max(now, heapq.heappop(self.free_at))
        heapq.heappush(self.free_at, began + took)
        await asyncio.sleep(began + took - now)
        return True


@dataclass(frozen=True)
class Figures:
    """What came of a scene."""

    goodput: float
    p99: float


def play(
    scene: Scene, arm: Callable[[int], Any], *, most: int, seconds: float, seed: int
) -> Figures:
    """One scene with one limit a worker."""
    times: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = Server(scene, seconds, Random(seed))  # noqa: S311 - repeatable

        async def wants(limit: Any) -> None:
            while loop.time() < seconds:
                place = await limit.enter(1e9)
                sent = loop.time()
                good = False
                try:
                    async with asyncio.timeout(TIME_OUT):
                        good = await server.answer()
                except TimeoutError:
                    pass
                took = loop.time() - sent
                limit.done(place, too_much=not good, seconds=max(took, 1e-9))
                if good:
                    times.append(took)
                else:
                    await asyncio.sleep(PAUSE)

        limits = [arm(most) for _ in range(scene.workers)]
        await asyncio.gather(*(wants(limit) for limit in limits for _ in range(most)))

    simulated(run)
    times.sort()
    return Figures(len(times) / seconds, times[int(0.99 * len(times))])


def report(found: Sequence[tuple[Scene, Figures, Figures]], most: int) -> None:
    """A table for people, then one JSON line a figure."""
    table = Table(
        *("scene", "goodput AIMD", "Gradient2", "p99 ms AIMD", "Gradient2"),
        title=f"{SLOTS} slots of {SERVICE_SECONDS * 1000:g} ms, at most {most} at a time",
    )
    for scene, aimd, other in found:
        table.add_row(
            scene.name,
            f"{aimd.goodput:.0f}/s",
            f"{other.goodput:.0f}/s",
            f"{aimd.p99 * 1000:.0f}",
            f"{other.p99 * 1000:.0f}",
        )
    Console().print(table)
    for scene, aimd, other in found:
        for name, value in (
            ("goodput_ratio", other.goodput / aimd.goodput),
            ("p99_ratio", other.p99 / aimd.p99),
        ):
            figure = f"limit.gradient2_to_aimd_at_{most}.{scene.name.replace(' ', '_')}.{name}"
            line = {"figure": figure, "value": round(value, 3), "unit": "ratio"}
            print(json.dumps({**line, "target": None, "ok": True}))


def main() -> None:
    """Play all scenes and report their means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="simulated, for each scene")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=32, help="requests at a time, of each worker")
    given = parser.parse_args()

    def mean(scene: Scene, arm: Callable[[int], Any]) -> Figures:
        runs = [
            play(scene, arm, most=given.most, seconds=given.seconds, seed=seed)
            for seed in range(given.seeds)
        ]
        return Figures(
            statistics.fmean(run.goodput for run in runs), statistics.fmean(run.p99 for run in runs)
        )

    report([(scene, mean(scene, Aimd), mean(scene, Gradient2)) for scene in SCENES], given.most)


if __name__ == "__main__":
    main()
