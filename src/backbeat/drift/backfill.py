"""The past of a table, counted day by day, so that a monitor is calibrated on its first day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from backbeat.data import open_dataset, references
from backbeat.drift.checking import count_batch
from backbeat.drift.history import Monitor
from backbeat.drift.profile import Profile
from backbeat.errors import InvalidData
from backbeat.ports import Store
from backbeat.reference import Dataset

__all__ = ["Backfilled", "backfill"]


@dataclass(frozen=True, kw_only=True)
class Backfilled:
    """What became of the days of a window.

    Args:
        counted: Days that were counted now.
        there: Days that had been counted before.
        missing: Days without data.
        refused: Days whose data cannot be counted, each with the reason.
    """

    counted: tuple[str, ...]
    there: tuple[str, ...]
    missing: tuple[str, ...]
    refused: dict[str, str]


def backfill(
    monitor: Monitor,
    reference: Profile,
    window: Dataset,
    *,
    store: Store,
    dry_run: bool = False,
    progress: Callable[[int, int | None], None] = lambda *_: None,
) -> Backfilled:
    """Count the days of a window that a monitor does not have yet, one after the other.

    Each day is written as soon as it is counted: after an interruption, the days that are there
    are not counted again.

    Args:
        monitor: Where the days go.
        reference: The profile whose columns and edges are used.
        window: A dataset with `{day}` in its URI.
        store: Where its files are.
        dry_run: Only say what would be counted; a day's data is then not opened.
        progress: Told how many days of how many are done.
    """
    kept = set(monitor.partitions(reference.edges_digest))
    counted: list[str] = []
    there: list[str] = []
    missing: list[str] = []
    refused: dict[str, str] = {}
    days = window.days_covered()
    for done, day in enumerate(days, start=1):
        name = day.isoformat()
        if name in kept:
            there.append(name)
        elif not store.files(window.uri.replace("{day}", name)):
            missing.append(name)
        else:
            try:
                if not dry_run:
                    _count(monitor, reference, window, day, store)
                counted.append(name)
            except InvalidData as error:
                refused[name] = str(error.message)
        progress(done, len(days))
    return Backfilled(
        counted=tuple(counted), there=tuple(there), missing=tuple(missing), refused=refused
    )


def _count(monitor: Monitor, reference: Profile, window: Dataset, day: date, store: Store) -> None:
    one = Dataset(uri=window.uri, until=day)
    data = open_dataset(store, references(store, one))
    profile = count_batch(data, reference, partition=day.isoformat())
    if not profile.rows:
        raise InvalidData("it has no rows", hint="check that the data has landed")
    monitor.write_batch(day.isoformat(), profile, edges=reference.edges_digest)
