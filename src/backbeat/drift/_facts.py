"""A few numbers of both sides of a column, as people write them."""

from __future__ import annotations

import numpy as np

from backbeat.drift._bins import ordered_counts
from backbeat.drift._columns import CategoricalColumn, Column, NumericColumn
from backbeat.drift._units import spanned, written

__all__ = ["facts_of"]


def facts_of(old: Column, new: Column) -> tuple[tuple[str, str, str], ...]:
    """Rows of name, reference and batch; none where a drawing says it all.

    Args:
        old: The reference's counts.
        new: The batch's counts.
    """
    if isinstance(old, NumericColumn) and isinstance(new, NumericColumn):
        if old.family == "boolean":
            return ()
        found = []
        medians = _median(old), _median(new)
        if medians[0] and medians[1]:
            found.append(("Median", *medians))
        for name, one, two in (
            ("Mean", old.mean, new.mean),
            ("Smallest", old.minimum, new.minimum),
            ("Largest", old.maximum, new.maximum),
        ):
            if one is not None and two is not None:
                found.append((name, written(old.family, one), written(old.family, two)))
        return tuple(found)
    if isinstance(old, CategoricalColumn) and isinstance(new, CategoricalColumn):
        about = "" if old.complete and new.complete else "about "
        counts = [f"{about}{side.distinct_values:,}" for side in (old, new)]
        return (("Categories", counts[0], counts[1]),)
    return ()


def _median(column: NumericColumn) -> str:
    """The upper edge of the bin that holds the median: exact where every value has its bin.

    Outside the edges only the side is known: beyond the last one a batch can have any median up to
    its largest value.
    """
    if not column.finite or not column.edges:
        return ""
    reached = np.cumsum(ordered_counts(column)) * 2
    at = int(np.searchsorted(reached, column.present))
    if at >= len(column.edges):
        return spanned(column.family, column.edges[-1], None)
    if at == 0:
        return spanned(column.family, None, column.edges[0])
    return written(column.family, column.edges[at])
