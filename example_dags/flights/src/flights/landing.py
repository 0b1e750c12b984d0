"""The data platform of the example: it lands a day's Parquet files before each night runs.

Before night N it lands the schedule of N+1 and the labels of N-1. It also sends the schedule of N
once more, as a feed does whose provisional version may have been wrong; that is how an injected
fault is gone the next morning.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from backbeat.ports import Store
from flights import features
from flights.season import Night
from flights.settings import FIRST_DAY, LABELS, SCHEDULE
from flights.source import read

__all__ = ["land_history", "land_night"]

_DAY = timedelta(days=1)


def land_history(store: Store, until: date) -> list[str]:
    """Land everything that had arrived before the night `until` began to arrive.

    Args:
        store: The platform's store; files land under `landing/` in it.
        until: The first night; schedules land through `until`, labels through `until` - 2 days.

    Returns:
        The keys written: those that were missing.
    """
    there = set(store.keys("landing/"))
    schedule = [day for day in _days(until) if _key(SCHEDULE, day) not in there]
    labels = [day for day in _days(until - 2 * _DAY) if _key(LABELS, day) not in there]
    return _land(store, SCHEDULE, features.schedules(read(), schedule)) + _land(
        store, LABELS, features.labels(read(), labels)
    )


def land_night(store: Store, night: Night) -> list[str]:
    """Land what arrives before a night, with the night's fault, and whatever is missing before it.

    Landing a night again changes nothing: the same bytes are left alone.

    Args:
        store: The platform's store.
        night: The night that is about to run.

    Returns:
        The keys written: those that were missing or had other bytes.
    """
    written = land_history(store, night.day)
    tomorrow = night.day + _DAY
    resent = features.schedules(read(), [night.day])
    arriving = features.schedules(read(), [tomorrow])
    if night.fault is not None:
        broken = night.fault.apply
        arriving = ((day, broken(table)) for day, table in arriving)
    written += _land(store, SCHEDULE, resent)
    written += _land(store, SCHEDULE, arriving)
    written += _land(store, LABELS, features.labels(read(), [night.day - _DAY]))
    return written


def _days(last: date) -> list[date]:
    return [FIRST_DAY + count * _DAY for count in range((last - FIRST_DAY).days + 1)]


def _key(pattern: str, day: date) -> str:
    return pattern.format(day=day.isoformat())


def _land(store: Store, pattern: str, tables: Iterable[tuple[date, pa.Table]]) -> list[str]:
    contents = ((_key(pattern, day), _parquet(table)) for day, table in tables)
    return [key for key, content in contents if _put(store, key, content)]


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _put(store: Store, key: str, content: bytes) -> bool:
    if store.create(key, content):
        return True
    if store.read(key) == content:
        return False
    store.write(key, content)
    return True
