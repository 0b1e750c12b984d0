"""What was measured for one batch, as a small file in the store; nothing raw is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backbeat.canonical import canonical_bytes
from backbeat.drift.performance.measured import Measured, Metric, Task
from backbeat.drift.performance.residual_cells import ResidualCells
from backbeat.drift.performance.score_cells import ScoreCells
from backbeat.errors import InvalidData
from backbeat.ports import Store

__all__ = [
    "ORDINARY",
    "Part",
    "PerformanceRecord",
    "past_records",
    "read_record",
    "record_key",
    "write_record",
]

_FORMAT = "backbeat.performance/v1"
_SUFFIX, _ESTIMATE = ".json", ".estimate.json"
# a batch that was worse must not become what the next one is held against
ORDINARY = frozenset({"stable", "no_reference"})


class Part(BaseModel):
    """The whole batch, or one slice of it.

    Args:
        rows: Rows that are behind it.
        units: Days that are behind it; 1 for a batch without days.
        metrics: What was measured or estimated.
        scores: How a classifier's scores came true.
        residuals: How wrong a regressor's predictions were.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    rows: int
    units: int
    metrics: dict[Metric, Measured]
    scores: ScoreCells | None = None
    residuals: ResidualCells | None = None


class PerformanceRecord(BaseModel):
    """A batch's performance; what an unknown newer field says is ignored.

    Args:
        format: `backbeat.performance/v1`.
        model: The model's name.
        partition: The batch.
        task: `classification` or `regression`.
        threshold: A probability from here on is class 1.
        estimated: Whether no label was seen.
        verdict: What was decided about the batch.
        predictions: Rows that were predicted.
        whole: The whole batch.
        slices: Its slices, by names such as `origin=JFK`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    format: str = _FORMAT
    model: str
    partition: str
    task: Task
    threshold: float
    estimated: bool = False
    verdict: str
    predictions: int
    whole: Part
    slices: dict[str, Part] = Field(default_factory=dict)


def record_key(prefix: str, model: str, partition: str, *, estimated: bool = False) -> str:
    """The store key of a record: `<prefix>/<model>/<partition>.json`."""
    suffix = _ESTIMATE if estimated else _SUFFIX
    return f"{_folder(prefix, model)}{quote(partition, safe='')}{suffix}"


def write_record(store: Store, prefix: str, record: PerformanceRecord) -> tuple[str, bytes]:
    """Write a record, replacing the batch's earlier one; returns its key and bytes."""
    key = record_key(prefix, record.model, record.partition, estimated=record.estimated)
    content = canonical_bytes(record.model_dump(mode="json", exclude_none=True))
    store.write(key, content)
    return key, content


def read_record(store: Store, key: str) -> PerformanceRecord:
    """Read a record.

    Raises:
        NotFound: There is none.
        InvalidData: It is damaged, or of a newer format than this release reads.
    """
    return _parsed(store.read(key), key)


def past_records(
    store: Store, prefix: str, model: str, *, before: str, limit: int
) -> list[PerformanceRecord]:
    """The newest ordinary batches whose labels were measured before a partition, oldest first.

    Args:
        store: Where they are.
        prefix: Their prefix, such as `performance`.
        model: The model's name.
        before: Partitions are compared as text, which is right for ISO days.
        limit: Most that are read.

    Raises:
        InvalidData: One is damaged, or of a newer format than this release reads.
    """
    found: list[PerformanceRecord] = []
    for partition in sorted(_partitions(store, prefix, model), reverse=True):
        if partition < before and len(found) < limit:
            record = read_record(store, record_key(prefix, model, partition))
            if record.verdict in ORDINARY:
                found.append(record)
    return found[::-1]


def _partitions(store: Store, prefix: str, model: str) -> list[str]:
    folder = _folder(prefix, model)
    names = [key.removeprefix(folder) for key in store.keys(folder)]
    return [
        unquote(name.removesuffix(_SUFFIX))
        for name in names
        if name.endswith(_SUFFIX) and not name.endswith(_ESTIMATE) and "/" not in name
    ]


def _folder(prefix: str, model: str) -> str:
    return f"{prefix}/{quote(model, safe='')}/"


def _parsed(content: bytes, key: str) -> PerformanceRecord:
    try:
        fields: Any = json.loads(content)
        written = str(fields.get("format")) if isinstance(fields, Mapping) else ""
        name, _, version = written.partition("/v")
        if name == _FORMAT.partition("/v")[0] and version.isdigit() and version != "1":
            raise InvalidData(
                f"{key} is of the format {written}, and this release reads {_FORMAT}",
                hint="upgrade backbeat where this check runs",
            )
        return PerformanceRecord.model_validate(fields)
    except (ValueError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidData(
            f"{key} is no record of a performance: {reason}",
            hint="name a record that performance_check wrote, or remove the damaged file",
        ) from error
