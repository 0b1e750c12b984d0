"""What counts as drift: every threshold of a check, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Against", "Rules"]

Against = Literal["pinned", "rolling", "weekday", "last_good"]


class Rules(BaseModel):
    """The thresholds of a check.

    Args:
        q: False discovery rate of Benjamini-Hochberg over the columns.
        effect_floor: An effect below this is no drift, however certain and however unusual; 0 to
            1. A shift of a fifth of a standard deviation has an effect of 0.08.
        smallest_effect: The effect that a batch must be large enough to show; None for the floor.
        power: The probability with which it must show it.
        against: The reference: the profile the model was trained on (`pinned`), the batches before
            this one together (`rolling`), those of the same weekday (`weekday`), or the last one
            that was found stable or acknowledged (`last_good`).
        window: How many past batches make the rolling reference.
        weekdays: How many past batches of the same weekday make that reference.
        calibrate: Whether limits come from the columns' own history once it is long enough.
        limits_until: The last partition that limits are learnt from; later batches only move what
            is expected. Empty learns from all, so that limits follow the data.
        min_history: Past batches before limits are calibrated.
        false_alarm: The share of ordinary batches, over all columns, that may raise an alarm.
        persistence: Batches in a row in which a column must move before it is drifted; what is
            broken does not wait.
        importance: Weight per column for the ranking, 1 for those not named.
        max_age_hours: Hours between the newest value of `time_column` and the check above which a
            batch is stale; None does not look.
        time_column: The column that says when a row came to be. It goes on from batch to batch, so
            its values are no drift unless its own history says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    q: float = Field(default=0.05, gt=0, lt=1)
    effect_floor: float = Field(default=0.05, ge=0, le=1)
    smallest_effect: float | None = Field(default=None, gt=0, le=1)
    power: float = Field(default=0.8, ge=0.5, lt=1)
    against: Against = "pinned"
    window: int = Field(default=28, ge=1, le=3660)
    weekdays: int = Field(default=4, ge=1, le=520)
    calibrate: bool = True
    limits_until: str = ""
    min_history: int = Field(default=28, ge=5, le=3660)
    false_alarm: float = Field(default=0.01, gt=0, lt=1)
    persistence: int = Field(default=1, ge=1, le=100)
    importance: dict[str, float] = Field(default_factory=dict)
    max_age_hours: float | None = Field(default=None, gt=0)
    time_column: str | None = None
