"""The data platform of the example: it lands a day's Parquet files before each night runs.

Before night N it lands the schedule of N+1 and the labels of N-1. It also sends the schedule of N
once more, as a feed does whose provisional version may have been wrong; that is how an injected
fault is gone the next morning.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flights import features
from flights.season import Night
from flights.settings import FIRST_DAY, LABELS, SCHEDULE
from flights.source import read

__all__ = ["land_history", "land_night"]

_DAY = timedelta(days=1)


def land_history(root: Path, until: date) -> list[Path]:
    """Land everything that had arrived before the night `until` began to arrive.

    Args:
        root: The store's folder; files land under `landing/` in it.
        until: The first night; schedules land through `until`, labels through `until` - 2 days.

    Returns:
        The files written: those that were missing.
    """
    schedule = [day for day in _days(until) if not _path(root, SCHEDULE, day).exists()]
    labels = [day for day in _days(until - 2 * _DAY) if not _path(root, LABELS, day).exists()]
    return _land(root, SCHEDULE, features.schedules(read(), schedule)) + _land(
        root, LABELS, features.labels(read(), labels)
    )


def land_night(root: Path, night: Night) -> list[Path]:
    """Land what arrives before a night, with the night's fault, and whatever is missing before it.

    Landing a night again changes nothing: the same bytes are left alone.

    Args:
        root: The store's folder.
        night: The night that is about to run.

    Returns:
        The files written: those that were missing or had other bytes.
    """
    written = land_history(root, night.day)
    tomorrow = night.day + _DAY
    resent = features.schedules(read(), [night.day])
    arriving = features.schedules(read(), [tomorrow])
    if night.fault is not None:
        broken = night.fault.apply
        arriving = ((day, broken(table)) for day, table in arriving)
    written += _land(root, SCHEDULE, resent)
    written += _land(root, SCHEDULE, arriving)
    written += _land(root, LABELS, features.labels(read(), [night.day - _DAY]))
    return written


def _days(last: date) -> list[date]:
    return [FIRST_DAY + count * _DAY for count in range((last - FIRST_DAY).days + 1)]


def _path(root: Path, key: str, day: date) -> Path:
    return root / key.format(day=day.isoformat())


def _land(root: Path, key: str, tables: Iterable[tuple[date, pa.Table]]) -> list[Path]:
    paths = ((_path(root, key, day), _parquet(table)) for day, table in tables)
    return [path for path, content in paths if _put(path, content)]


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _put(path: Path, content: bytes) -> bool:
    if path.exists() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # a reader of the folder sees a whole file or none: the name ends otherwise until the rename
    temporary = path.with_name(f"{path.name}.{os.getpid()}.landing")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True
