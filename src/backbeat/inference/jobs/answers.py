"""A shard's answers as they come, in any order, until each of its rows has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from backbeat.errors import InvalidData, RetryableError
from backbeat.inference.jobs.load import rows_named
from backbeat.inference.jobs.server import Finding

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.protocol import Answer

__all__ = ["Answers"]

_HELD = 512
_AT = "__row"


class Answers:
    """Collects what came of a shard's questions; the first answer to a row counts.

    Args:
        rows: Number of the shard's rows.
        table: Makes the columns of the output of a question's name, its answer, and its job.
        job: The job whose answers come now.
    """

    def __init__(
        self, rows: int, table: Callable[[str, Answer, str], pa.Table], *, job: str = ""
    ) -> None:
        import numpy as np

        self._known = np.zeros(rows, bool)
        self._table = table
        self.job = job
        self._parts: list[pa.Table] = []
        self._whole: list[pa.Table] = []
        self.bad: dict[int, InvalidData] = {}
        self.refused: set[int] = set()
        self.error: RetryableError | None = None

    def add(self, finding: Finding) -> Answer | None:
        """Take one in; returns its answer where it is new.

        Raises:
            FinalError: The model did not answer for a reason that is not the row's.
        """
        import pyarrow as pa

        span = rows_named(finding.name, len(self._known))
        if span is None or self._known[slice(*span)].any():
            return None
        answer = finding.answer
        if isinstance(answer, InvalidData) and span[1] - span[0] > 1:
            # which of them it is, each alone will show
            self.refused.update(range(*span))
            return None
        if isinstance(answer, RetryableError):
            self.error = answer
            return None
        if isinstance(answer, InvalidData):
            self.bad[span[0]] = answer
            self._known[span[0]] = True
            return None
        if isinstance(answer, Exception):
            raise answer
        table = self._table(finding.name, answer, self.job)
        self._parts.append(table.append_column(_AT, pa.array(range(*span), pa.int64())))
        if len(self._parts) >= _HELD:
            self._compact()
        self._known[slice(*span)] = True
        return answer

    def missing(self, size: int) -> Sequence[tuple[int, int]]:
        """Spans of the rows that have no answer, of at most `size` rows; a refused one alone."""
        spans: list[tuple[int, int]] = []
        for row in (~self._known).nonzero()[0].tolist():
            start, stop = spans[-1] if spans else (row, row)
            alone = row in self.refused or start in self.refused
            if spans and row == stop and stop - start < size and not alone:
                spans[-1] = (start, row + 1)
            else:
                spans.append((row, row + 1))
        return spans

    def outputs(self) -> tuple[pa.Table | None, pa.Array]:
        """The answers in the order of the rows, None where there are none, and their rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self._compact()
        if not self._whole:
            return None, pa.array([], pa.int64())
        table = pa.concat_tables(self._whole, promote_options="permissive")
        table = table.take(pc.sort_indices(table[_AT]))
        return table.drop_columns([_AT]), table[_AT].combine_chunks()

    def _compact(self) -> None:
        import pyarrow as pa

        # thousands of tables of one row each would take many times their answers' place
        if self._parts:
            part = pa.concat_tables(self._parts, promote_options="permissive")
            self._whole.append(part.combine_chunks())
            self._parts = []
