"""The rows of a batch, and of each of its slices, measured or estimated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backbeat.drift.performance.estimate_residuals import estimate_regressor
from backbeat.drift.performance.estimate_scores import estimate_classifier
from backbeat.drift.performance.joining import Joined
from backbeat.drift.performance.measured import Measured, Metric
from backbeat.drift.performance.metrics import measure
from backbeat.drift.performance.record import Part
from backbeat.drift.performance.reference import ReferencePart
from backbeat.drift.performance.residual_cells import count_residuals
from backbeat.drift.performance.score_cells import count_scores
from backbeat.drift.performance.settings import Settings
from backbeat.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Rows"]

_SLICES = 50  # of one column, the largest first

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Rows of the whole or of a slice.

    Args:
        prediction: Shape (n,).
        truth: Shape (n,), None before labels come.
        columns: The day, the slices and the explainer of the same rows.
        units: Names of the days; the batch's own where no day is known.
        unit: Number of each row's, shape (n,).
        by: Columns whose values are slices.
    """

    prediction: _Floats
    truth: _Floats | None
    columns: pa.Table
    units: tuple[str, ...]
    unit: NDArray[np.int64]
    by: tuple[str, ...] = ()

    @classmethod
    def of(cls, joined: Joined, settings: Settings) -> Rows:
        """All rows of a batch."""
        if settings.day is None:
            unit = np.zeros(len(joined.prediction), dtype=np.int64)
            units: tuple[str, ...] = (settings.partition,)
        else:
            units, unit = _named(joined.columns[settings.day])
        return cls(joined.prediction, joined.truth, joined.columns, units, unit, settings.by)

    def slices(self) -> Iterator[tuple[str, Rows]]:
        """The whole under the name "", then each slice."""
        yield "", self
        for column in self.by:
            names, place = _named(self.columns[column])
            sizes = np.bincount(place, minlength=len(names))
            for number in np.argsort(-sizes, kind="stable")[:_SLICES]:
                yield f"{column}={names[number]}", self._only(np.flatnonzero(place == number))

    def _only(self, rows: NDArray[np.int64]) -> Rows:
        import pyarrow as pa

        present, unit = np.unique(self.unit[rows], return_inverse=True)
        return replace(
            self,
            prediction=self.prediction[rows],
            truth=None if self.truth is None else self.truth[rows],
            columns=self.columns.take(pa.array(rows)),
            units=tuple(self.units[number] for number in present),
            unit=unit.astype(np.int64),
        )

    def measured(self, settings: Settings, against: ReferencePart | None) -> Part:
        """The metrics, and the counts that later batches are estimated from.

        Raises:
            InvalidData: The rows have no labels.
        """
        if self.truth is None:
            raise InvalidData(
                "there are no labels to measure by", hint="join labels, or estimate without them"
            )
        metrics = measure(
            self.truth,
            self.prediction,
            task=settings.task,
            threshold=settings.threshold,
            days=self.unit if settings.day else None,
            confidence=settings.confidence,
        )
        part = Part(rows=len(self.truth), units=len(self.units), metrics=metrics)
        if part.rows == 0:
            return part
        if settings.task == "classification":
            scores = count_scores(
                self.truth,
                self.prediction,
                threshold=settings.threshold,
                units=self.units,
                unit=self.unit,
            )
            return part.model_copy(update={"scores": scores})
        explained = self._explainer(settings)
        residuals = count_residuals(
            self.truth,
            self.prediction,
            units=self.units,
            unit=self.unit,
            explainer=None if explained is None else (str(settings.explainer), explained),
            layout_of=against.residuals if against else None,
        )
        return part.model_copy(update={"residuals": residuals})

    def estimated(self, settings: Settings, against: ReferencePart) -> tuple[Part, float]:
        """The metrics to expect, and the share of rows that the reference has no labels for."""
        units, confidence = len(self.units), settings.confidence
        metrics: dict[Metric, Measured] = {}
        unseen = 0.0
        if against.scores is not None:
            metrics, unseen = estimate_classifier(
                self.prediction, against.scores, units=units, confidence=confidence
            )
        elif against.residuals is not None:
            metrics, unseen = estimate_regressor(
                self.prediction,
                against.residuals,
                units=units,
                explainer=self._explainer(settings),
                confidence=confidence,
            )
        return Part(rows=len(self.prediction), units=units, metrics=metrics), unseen

    def _explainer(self, settings: Settings) -> pa.ChunkedArray | None:
        return self.columns[settings.explainer] if settings.explainer else None


def _named(column: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The names of a column's values, ascending, and each row's place among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    texts = pc.fill_null(column.cast(pa.string()), "null")
    names, place = np.unique(
        np.asarray(texts.to_numpy(zero_copy_only=False), dtype=str), return_inverse=True
    )
    return tuple(names.tolist()), place.astype(np.int64)
