"""What one job is asked: rows of a shard, each question under a name that its answer comes with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Load", "rows_named"]

_NAME = re.compile(r"rows-([0-9]{1,12})-([0-9]{1,12})")


def rows_named(name: str, rows: int) -> tuple[int, int] | None:
    """First row and the row behind the last that a question is about; None where it is none."""
    found = _NAME.fullmatch(name)
    start, stop = (int(part) for part in found.groups()) if found else (0, 0)
    return (start, stop) if start < stop <= rows else None


@dataclass(frozen=True)
class Load:
    """The rows of a shard that a job is asked about.

    Args:
        rows: All rows of the shard, one column for each feature.
        spans: First row and the row behind the last of each question.
        parameters: The model's own, such as a temperature.
    """

    rows: pa.RecordBatch
    spans: Sequence[tuple[int, int]]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def questions(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Each question's name, `rows-<first>-<behind the last>`, and its rows."""
        for start, stop in self.spans:
            yield f"rows-{start}-{stop}", self.rows.slice(start, stop - start)

    def asked(self, name: str) -> pa.RecordBatch | None:
        """The rows of a question by its name, of this job or an earlier one; None for a foreign."""
        found = rows_named(name, self.rows.num_rows)
        return None if found is None else self.rows.slice(found[0], found[1] - found[0])
