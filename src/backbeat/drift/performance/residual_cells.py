"""How wrong a regressor's predictions were: sums per day, bin of predictions and explainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from backbeat.errors import ContractBroken

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["STATISTICS", "ResidualCells", "count_residuals", "merge_residuals"]

_Floats = NDArray[np.float64]
_BINS, _STRATA = 20, 10
# of prediction minus truth
STATISTICS = ("absolute", "square", "signed")


class ResidualCells(BaseModel):
    """Labelled rows and sums over their residuals, by unit and cell.

    A cell is a bin of predictions times a stratum of the explainer: one of its most frequent
    `levels`, or between two of its `cuts`; what is neither is the stratum after the last.

    Args:
        edges: Inner edges of the bins of predictions, ascending.
        explainer: The column, None where there is one stratum.
        levels: The explainer's values, where it is text.
        cuts: Inner edges of its strata, where it is a number.
        units: Name of each unit (a day, or a batch).
        rows: Labelled rows, units x cells.
        sums: By statistic, units x cells: of |residual|, residual² and residual.
        fourth: Sum of residual⁴, units x cells.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    edges: tuple[float, ...]
    explainer: str | None = None
    levels: tuple[str, ...] = ()
    cuts: tuple[float, ...] = ()
    units: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    sums: dict[str, tuple[tuple[float, ...], ...]]
    fourth: tuple[tuple[float, ...], ...]

    @property
    def strata(self) -> int:
        """Number of strata of the explainer, the one for all else included."""
        return 1 + (len(self.levels) or (len(self.cuts) + 1 if self.cuts else 0))

    @property
    def layout(self) -> tuple[Any, ...]:
        """What two of them must have in common to be added."""
        return self.edges, self.explainer, self.levels, self.cuts

    def cells(self, prediction: _Floats, explainer: pa.ChunkedArray | None) -> NDArray[np.int64]:
        """Each row's cell, shape (n,).

        Raises:
            ContractBroken: The explainer is missing, or is text where it was a number.
        """
        place = np.searchsorted(np.asarray(self.edges), prediction, side="right")
        if self.explainer is None:
            return place.astype(np.int64)
        if explainer is None:
            raise ContractBroken(
                f"the reference explains its errors by {self.explainer}, which is not here",
                hint="name the same explainer, or measure a new reference without one",
            )
        return (place * self.strata + self._stratum(explainer)).astype(np.int64)

    def _stratum(self, explainer: pa.ChunkedArray) -> NDArray[np.int64]:
        text = _is_text(explainer.type)
        if text != bool(self.levels):
            raise ContractBroken(
                f"{self.explainer} is {explainer.type}, and was "
                f"{'text' if self.levels else 'a number'} in the reference",
                hint="write the column with one type, or measure a new reference",
            )
        if text:
            return _index_in(explainer, self.levels)
        values = _floats(explainer)
        found = np.searchsorted(np.asarray(self.cuts), values, side="right")
        return np.where(np.isnan(values), self.strata - 1, found).astype(np.int64)


def count_residuals(
    truth: _Floats,
    prediction: _Floats,
    *,
    units: Sequence[str],
    unit: NDArray[np.int64],
    explainer: tuple[str, pa.ChunkedArray] | None = None,
    layout_of: ResidualCells | None = None,
) -> ResidualCells:
    """Sum residuals of labelled rows.

    Args:
        truth: Shape (n,), n > 0.
        prediction: Shape (n,).
        units: Names of the units.
        unit: Number of each row's unit, shape (n,).
        explainer: A column that the size of the errors depends on: its name, and its values.
        layout_of: Take bins and strata from here, so that both can be added; else they are cut at
            the quantiles of these rows.
    """
    empty = layout_of or _layout(prediction, explainer)
    cell = empty.cells(prediction, explainer[1] if explainer and empty.explainer else None)
    width = (len(empty.edges) + 1) * empty.strata
    place = unit * width + cell
    residual = prediction - truth
    sizes = dict(zip(STATISTICS, (np.abs(residual), np.square(residual), residual), strict=True))

    def table(values: _Floats | None) -> Any:
        flat = np.bincount(place, weights=values, minlength=len(units) * width)
        return flat.reshape(len(units), width)

    return empty.model_copy(
        update={
            "units": tuple(units),
            "rows": tuple(map(tuple, table(None).tolist())),
            "sums": {name: _short(table(values)) for name, values in sizes.items()},
            "fourth": _short(table(residual**4)),
        }
    )


def merge_residuals(parts: Sequence[ResidualCells]) -> ResidualCells:
    """Add sums of the last one's layout; a unit in several of them is taken from the last."""
    alike = [part for part in parts if part.layout == parts[-1].layout]
    last = {unit: (part, row) for part in alike for row, unit in enumerate(part.units)}
    units = sorted(last)  # in order of time
    found = [last[unit] for unit in units]
    return alike[-1].model_copy(
        update={
            "units": tuple(units),
            "rows": tuple(part.rows[row] for part, row in found),
            "sums": {
                name: tuple(part.sums[name][row] for part, row in found) for name in STATISTICS
            },
            "fourth": tuple(part.fourth[row] for part, row in found),
        }
    )


def _layout(prediction: _Floats, explainer: tuple[str, pa.ChunkedArray] | None) -> ResidualCells:
    made = ResidualCells(edges=_quantiles(prediction, _BINS), units=(), rows=(), sums={}, fourth=())
    if explainer is None:
        return made
    name, values = explainer
    if _is_text(values.type):
        counted = values.drop_null().value_counts().to_pylist()
        counted.sort(key=lambda item: (-item["counts"], str(item["values"])))
        levels = tuple(str(item["values"]) for item in counted[:_STRATA])
        return made.model_copy(update={"explainer": name if levels else None, "levels": levels})
    numbers = _floats(values)
    cuts = _quantiles(numbers[~np.isnan(numbers)], _STRATA // 2)
    return made.model_copy(update={"explainer": name if cuts else None, "cuts": cuts})


def _quantiles(values: _Floats, parts: int) -> tuple[float, ...]:
    if len(values) == 0:
        return ()
    inner = np.unique(np.quantile(values, np.arange(1, parts) / parts))
    # an edge at the lowest value would leave the bin below it empty
    return tuple(inner[inner > values.min()].tolist())


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _floats(column: pa.ChunkedArray) -> _Floats:
    import pyarrow as pa

    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, dtype=np.float64)


def _index_in(column: pa.ChunkedArray, levels: Sequence[str]) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    found = pc.index_in(column.cast(pa.string()), value_set=pa.array(levels, pa.string()))
    return np.asarray(pc.fill_null(found, len(levels)).to_numpy(zero_copy_only=False))


def _short(table: _Floats) -> tuple[tuple[float, ...], ...]:
    # six digits are more than a mean of residuals can be known to
    return tuple(tuple(float(f"{value:.6g}") for value in row) for row in table)
