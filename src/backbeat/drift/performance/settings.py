"""How a batch is judged, as data."""

from __future__ import annotations

from dataclasses import dataclass

from backbeat.drift.performance.measured import DEFAULT_METRICS, METRICS, Metric, Task
from backbeat.errors import InvalidStep

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a batch is judged.

    Args:
        model: The model's name.
        partition: The batch.
        task: `classification` or `regression`.
        metrics: Those that are judged; all of the task are measured.
        threshold: A probability from here on is class 1.
        day: Column whose equal rows are one observation.
        by: Columns whose values are slices.
        explainer: Column that the size of a regressor's errors depends on.
        min_coverage: Share of predictions that must have a label.
        floor: A worsening up to here is none: absolute for `roc_auc`, `accuracy` and `f1`; a share
            of the reference's value for losses and errors, and of its `mae` for `bias`.
        confidence: Of the intervals, between 0 and 1.
    """

    model: str
    partition: str
    task: Task = "classification"
    metrics: tuple[Metric, ...] | None = None
    threshold: float = 0.5
    day: str | None = None
    by: tuple[str, ...] = ()
    explainer: str | None = None
    min_coverage: float = 0.8
    floor: float = 0.05
    confidence: float = 0.95

    def __post_init__(self) -> None:
        foreign = [name for name in self.judged if name not in METRICS[self.task]]
        if foreign or not self.judged:
            raise InvalidStep(
                f"{foreign[0] if foreign else 'nothing'} is no metric of a {self.task}",
                hint=f"choose among {', '.join(METRICS[self.task])}",
            )

    @property
    def judged(self) -> tuple[Metric, ...]:
        """The metrics that are judged."""
        return DEFAULT_METRICS[self.task] if self.metrics is None else self.metrics

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are needed beside key, prediction and label."""
        named = (self.day, *self.by, self.explainer)
        return tuple(dict.fromkeys(name for name in named if name is not None))
