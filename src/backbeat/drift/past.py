"""A past batch, as a decision about a new one sees it."""

from __future__ import annotations

from dataclasses import dataclass

from backbeat.drift.profile import Profile
from backbeat.drift.verdict import DriftVerdict

__all__ = ["PastBatch"]


@dataclass(frozen=True, kw_only=True)
class PastBatch:
    """One batch of the past.

    Args:
        partition: Its name; an ISO day where same weekdays are to be found.
        profile: Its counts, on the same edges as the batch to be judged.
        verdict: What was decided about it; None where it was only profiled (a backfill).
        fired: The columns of which a check fired then.
        acknowledged: Whether a person has said that what was found is as it should be.
        calibrated: Whether its limits came from a history. Before that, tests of significance find
            drift on nearly every real day: it then is a part of the history all the same, else a
            table without a backfill would stay uncalibrated for ever.
    """

    partition: str
    profile: Profile
    verdict: DriftVerdict | None = None
    fired: tuple[str, ...] = ()
    acknowledged: bool = False
    calibrated: bool = True

    @property
    def ordinary(self) -> bool:
        """Whether the batch belongs to what a column's history calls ordinary."""
        if self.acknowledged or self.verdict in (None, "stable", "insufficient_data"):
            return True
        return self.verdict == "drifted" and not self.calibrated
