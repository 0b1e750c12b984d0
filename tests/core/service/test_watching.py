from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backbeat.ledger import RemoteLedger, SqliteLedger
from backbeat.service.watching import Lookout

Make = Callable[..., Any]


class _Counting:
    """A ledger's watch that ends when it is told to, and knows how many look out at once."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.looks = 0

    def watch(self, *, seconds: float) -> bool:
        self.looks += 1
        return self.changed.wait(seconds)


def test_many_wait_on_one_watch() -> None:
    """A hundred who wait cost one look-out, and all hear of the change."""
    ledger: Any = _Counting()

    async def scene() -> list[bool]:
        with ThreadPoolExecutor(4) as threads:
            lookout = Lookout(ledger, threads)
            waiting = [asyncio.ensure_future(lookout.changed(60)) for _ in range(100)]
            await asyncio.sleep(0)
            ledger.changed.set()
            return await asyncio.gather(*waiting)

    assert asyncio.run(scene()) == [True] * 100
    assert ledger.looks == 1


def test_who_leaves_early_leaves_the_watch_to_the_others() -> None:
    """One whose time is up hears False, and does not end the wait of the others."""
    ledger: Any = _Counting()

    async def scene() -> tuple[bool, bool]:
        with ThreadPoolExecutor(1) as threads:
            lookout = Lookout(ledger, threads)
            patient = asyncio.ensure_future(lookout.changed(60))
            hasty = await lookout.changed(0.05)
            ledger.changed.set()
            return hasty, await patient

    assert asyncio.run(scene()) == (False, True)
    assert ledger.looks == 1


def test_a_watch_is_as_long_as_it_is_asked_for() -> None:
    """A wait that is over before it began looks at nothing."""
    ledger: Any = _Counting()
    with ThreadPoolExecutor(1) as threads:
        assert asyncio.run(Lookout(ledger, threads).changed(0)) is False
    assert ledger.looks == 0


def test_a_worker_hears_of_a_change(service: Any, remote_ledger: RemoteLedger, work: str) -> None:
    """A long poll ends when somebody appends to a stream, and with its time where nobody does."""
    own = SqliteLedger(service.file)
    ended = threading.Event()
    heard: list[bool] = []

    def watch() -> None:
        heard.append(remote_ledger.watch(seconds=60))
        ended.set()

    thread = threading.Thread(target=watch)
    thread.start()
    number = 0
    while not ended.wait(0.2):  # the watch may begin only after the first of them
        own.append(
            f"{work}/{number}",
            [("x", {})],
            category="c",
            expected=0,
            state="open",
            due=None,
            audit=[],
        )
        number += 1
        assert number < 200
    thread.join()
    assert heard == [True]
    assert remote_ledger.watch(seconds=0) is False
