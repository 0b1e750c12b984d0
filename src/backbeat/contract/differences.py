"""One difference between two versions, and how much it matters to who relies on the first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Difference", "Level", "highest"]

Level = Literal["none", "additive", "breaking"]
_ORDER: tuple[Level, ...] = ("none", "additive", "breaking")


class Difference(BaseModel):
    """One thing that is not as it was.

    Args:
        level: What it means for those who rely on the older version.
        where: The column or field; empty for the whole.
        words: What changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    where: str
    words: str


def highest(differences: Iterable[Difference]) -> Level:
    """The level of the whole: breaking where any difference is."""
    return max((item.level for item in differences), key=_ORDER.index, default="none")
