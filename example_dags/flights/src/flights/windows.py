"""Which days a night reads: every reference counts from the night's own day.

On night N the schedule of N+1 has landed, and the labels of N-1 have arrived. Every window below is
a `backbeat.Dataset` written as JSON, so that a template (`{{ ds }}`) can stand for the night.
"""

from __future__ import annotations

from typing import Any

from flights import settings

__all__ = ["compared", "drifting", "tomorrow", "trained"]


def tomorrow(night: str) -> dict[str, Any]:
    """The schedule that landed tonight: checked now, scored now, flown tomorrow."""
    return _window(settings.SCHEDULE, night, settings.SCORE_SHIFT, 1)


def drifting(night: str) -> dict[str, Any]:
    """The schedules that are held against the champion's profile."""
    return _window(settings.SCHEDULE, night, settings.DRIFT_SHIFT, settings.DRIFT_DAYS)


def compared(night: str, *, labels: bool) -> dict[str, Any]:
    """The last nights whose labels are in; no model is trained on them yet."""
    uri = settings.LABELS if labels else settings.SCHEDULE
    return _window(uri, night, settings.COMPARE_SHIFT, settings.COMPARE_DAYS)


def trained(night: str, *, labels: bool) -> dict[str, Any]:
    """The days before those: what a challenger learns from."""
    uri = settings.LABELS if labels else settings.SCHEDULE
    return _window(uri, night, settings.TRAIN_SHIFT, settings.TRAIN_DAYS)


def _window(uri: str, night: str, shift: int, days: int) -> dict[str, Any]:
    return {"uri": uri, "until": night, "shift": shift, "days": days}
