"""A short season of real nights, with every injected fault said aloud."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from flights.faults import CARRIERS_RENAMED, MILES_TO_KM, Fault

__all__ = ["SEASON", "STORY", "Night"]

STORY = {
    "a": "a first champion",
    "b": "a quiet night: nothing is retrained",
    "c": "drift starts a retraining; the challenger is better, signed off and promoted",
    "d": "drift starts a retraining; the challenger is not better and not promoted",
    "e": "broken data is stopped before it touches anything",
    "f": "the worker is killed while scoring, and the retry finishes the night",
}


@dataclass(frozen=True)
class Night:
    """One night of the season.

    Args:
        day: The night's partition: the evening of this day, when tomorrow's flights are scored.
        story: The letter of `STORY` that the night is there to show.
        note: What a person should know about it.
        fault: The fault injected into tomorrow's schedule, if any.
    """

    day: date
    story: str
    note: str
    fault: Fault | None = None

    @property
    def kills_worker(self) -> bool:
        """Whether the demo kills the worker while this night scores."""
        return self.story == "f"


SEASON = (
    Night(date(2013, 5, 4), "a", "Trained on the flights of 9 March to 19 April."),
    Night(date(2013, 5, 5), "b", "The champion's first schedule with a verdict on drift."),
    Night(
        date(2013, 6, 13),
        "b",
        "The nights between are left out: drift grew slowly on them, and stayed below the floor.",
    ),
    Night(
        date(2013, 6, 14),
        "c",
        "Real drift, no fault: fewer flights to Florida, more to the west and to the islands.",
    ),
    Night(date(2013, 6, 15), "b", "The new champion knows the summer schedule."),
    Night(date(2013, 6, 16), "e", "A unit changed under the same column name.", MILES_TO_KM),
    Night(date(2013, 6, 17), "d", "Only names changed, no flight did.", CARRIERS_RENAMED),
    Night(date(2013, 6, 18), "f", "The feed is right again: no fault in the data."),
)
