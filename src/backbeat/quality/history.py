"""The quality of a monitor's batches: each result beside the batch's profile."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, ValidationError

from backbeat.canonical import canonical_bytes
from backbeat.data.key import clean_key, partition_name
from backbeat.errors import NotFound
from backbeat.ports import Store
from backbeat.quality.result import QualityResult

__all__ = ["ExpectationLine", "KeptResult", "QualityHistory", "expectation_lines"]

_log = logging.getLogger(__name__)
_RESULT = ".json"


class _Expectation(BaseModel):
    # what a later version has added to a result is no reason to forget the result
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    column: str | None = None
    success: bool
    severity: str = "critical"
    unexpected_percent: float | None = None
    description: str = ""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    success: bool
    rows: int
    results: tuple[_Expectation, ...]


class KeptResult(BaseModel):
    """A batch's result, as much as its history is made of.

    Args:
        format: Names the file format.
        version: Version of the file format.
        partition: The batch.
        suite: The suite's name.
        result: What became of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal["backbeat.quality"] = "backbeat.quality"
    version: Literal[1] = 1
    partition: str
    suite: str
    result: _Result


class QualityHistory:
    """The results of one watched table, `<monitor>/quality/<partition>.json`.

    Args:
        store: Where they are.
        monitor: The monitor's prefix.
    """

    def __init__(self, store: Store, monitor: str) -> None:
        self._store = store
        self.folder = f"{clean_key(monitor)}/quality"

    def keep(self, partition: str, result: QualityResult) -> str:
        """Write a batch's result, whole or not at all; returns its key.

        Raises:
            InvalidStep: The partition is no name for a file.
        """
        key = self._key(partition)
        content = {
            "format": "backbeat.quality",
            "version": 1,
            "partition": partition,
            "suite": result.suite,
            "result": result.model_dump(mode="json"),
        }
        self._store.write(key, canonical_bytes(content))
        return key

    def partitions(self) -> list[str]:
        """The batches that have a result, in the order of their names."""
        names = (key.rsplit("/", 1)[1] for key in self._store.keys(f"{self.folder}/"))
        return sorted(
            unquote(name.removesuffix(_RESULT)) for name in names if name.endswith(_RESULT)
        )

    def results(
        self, *, progress: Callable[[int, int | None], None] = lambda *_: None
    ) -> list[KeptResult]:
        """All results in order; damaged ones are left out, with a warning.

        Args:
            progress: Told how many batches of how many are read.
        """
        found = []
        names = self.partitions()
        for done, name in enumerate(names, start=1):
            key = self._key(name)
            try:
                found.append(KeptResult.model_validate(json.loads(self._store.read(key))))
            except (NotFound, ValueError, ValidationError):
                _log.warning("the history goes on without %s, which is damaged", key)
            progress(done, len(names))
        return found

    def _key(self, partition: str) -> str:
        return f"{self.folder}/{partition_name(partition)}{_RESULT}"


@dataclass(frozen=True, kw_only=True)
class ExpectationLine:
    """An expectation from batch to batch.

    Args:
        type: Its name in Great Expectations' registry.
        column: Its column; None for the table.
        description: In words.
        batches: How often it was checked.
        failures: How often it did not hold.
        latest_failure: The latest batch in which it did not hold; None where there is none.
        unexpected: Per batch the percent of values that break it, None where it was not checked
            or is not about single values.
    """

    type: str
    column: str | None
    description: str
    batches: int
    failures: int
    latest_failure: str | None
    unexpected: tuple[float | None, ...]


def expectation_lines(kept: list[KeptResult]) -> list[ExpectationLine]:
    """Each expectation's line, those that failed most often first."""
    found: dict[tuple[str, str | None, str], dict[str, _Expectation]] = {}
    for batch in kept:
        for item in batch.result.results:
            found.setdefault((item.type, item.column, item.description), {})[batch.partition] = item
    days = [batch.partition for batch in kept]
    lines = []
    for (kind, column, description), items in found.items():
        failed = [day for day in days if day in items and not items[day].success]
        lines.append(
            ExpectationLine(
                type=kind,
                column=column,
                description=description,
                batches=len(items),
                failures=len(failed),
                latest_failure=failed[-1] if failed else None,
                unexpected=tuple(
                    items[day].unexpected_percent if day in items else None for day in days
                ),
            )
        )
    return sorted(lines, key=lambda line: -line.failures)
