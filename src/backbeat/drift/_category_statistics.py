"""What is measured of a column of categories: its distance, and names that are new or gone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backbeat.drift._arrays import Counts, Floats
from backbeat.drift._columns import CategoricalColumn
from backbeat.drift._statistics import (
    Statistic,
    distance_statistic,
    effective_size,
    effective_sizes,
    merged,
)
from backbeat.drift.distance import categories_effects

__all__ = ["Categories"]

_MANY = 20_000
_COMMON = 5
# where nothing changed, the effect is about sqrt(cells / (4 * size)), with this over sqrt(size)
_SPREAD = 0.35


class Categories:
    """A column of categories, counted on one list of names for all batches."""

    def __init__(
        self,
        name: str,
        old: CategoricalColumn,
        new: CategoricalColumn,
        past: Sequence[CategoricalColumn | None],
        references: Floats | None,
    ) -> None:
        self._name, self._past, self._references = name, past, references
        self._old, self._new = old, new
        names = dict.fromkeys(old.counts)
        sides = [old, new, *(column for column in past if column is not None)]
        if all(column.complete for column in sides):
            for column in sides[1:]:
                names |= dict.fromkeys(column.counts)
                if len(names) > _MANY:
                    names = dict.fromkeys(old.counts)
                    break
        self._places = {category: at for at, category in enumerate(names)}
        self._one, self._two = self._counted(old), self._counted(new)
        rows = [self._counted(column) for column in past]
        self._before = np.asarray(rows).reshape(-1, self._one.size)

    def statistics(self) -> list[Statistic]:
        """Distance, share of names that were never seen, and share of known names that are gone."""
        if self._references is None:
            compared = np.broadcast_to(self._one, self._before.shape)
        else:
            compared = merged(self._references, self._before)
        return [self._distance(compared), self._unseen(), self._gone(compared)]

    def _counted(self, column: CategoricalColumn | None) -> Counts:
        """Counts per name, the last is the rest."""
        found = np.zeros(len(self._places) + 1, dtype=np.int64)
        if column is None:
            return found
        for category, count in column.counts.items():
            at = self._places.get(category)
            found[-1 if at is None else at] += count
        found[-1] += column.other
        return found

    def _distance(self, compared: Counts) -> Statistic:
        effects = categories_effects(compared, self._before)
        now = float(categories_effects(self._one[None, :], self._two[None, :])[0])
        n, m = int(self._one.sum()), int(self._two.sum())
        common = int((self._one * (min(n, m) / max(1, n)) >= _COMMON).sum())
        return distance_statistic(
            self._name,
            ("chi2", now, effects),
            chance=math.sqrt(common / 4),
            spread=_SPREAD,
            size=effective_size(n, m),
            past_sizes=effective_sizes(compared.sum(axis=1), self._before.sum(axis=1)),
        )

    def _unseen(self) -> Statistic:
        """Mass on names that neither the pinned reference nor any earlier batch had."""
        before = self._before
        batches = len(before)
        pinned = self._references is None
        seen = np.vstack(
            [
                self._one[None, :] > 0 if pinned else np.zeros_like(self._one)[None, :] > 0,
                before > 0,
            ]
        )
        # the rest has no name, so that it is never known
        ever = np.logical_or.accumulate(seen, axis=0)
        sizes = np.maximum(1, before.sum(axis=1))
        fresh = np.where(~ever[:-1], before, 0)[:, :-1].sum(axis=1) + before[:, -1]
        shares = np.where(before.sum(axis=1) > 0, fresh / sizes, np.nan)
        if not pinned:
            # the first batches know few names
            shares[: batches // 3] = np.nan
        size = max(1, int(self._two.sum()))
        known = ever[-1] | (self._one > 0)
        now = (int(self._two[:-1][~known[:-1]].sum()) + int(self._two[-1])) / size
        usual = float(np.nanmean(shares)) if np.isfinite(shares).any() else 0.0
        return Statistic(
            column=self._name,
            check="cardinality",
            name="share of categories never seen before",
            value=now,
            past=np.asarray(shares, dtype=np.float64),
            resolution=math.sqrt(max(usual * size, 1)) / size,
            past_resolution=np.sqrt(np.maximum(usual * sizes, 1)) / sizes,
            rising=True,
            effect=_root_excess,
        )

    def _gone(self, compared: Counts) -> Statistic:
        """Mass that the reference has on names that the batch has not."""
        mass = np.maximum(1, compared.sum(axis=1, keepdims=True))
        absent = np.where(self._before == 0, compared / mass, 0)[:, :-1].sum(axis=1)
        absent = np.where(self._before.sum(axis=1) > 0, absent, np.nan)
        shares = self._one[:-1] / max(1, int(self._one.sum()))
        now = float(shares[self._two[:-1] == 0].sum())

        def chance(size: float) -> float:
            missed = np.exp(-shares * size)
            return math.sqrt(float((np.square(shares) * missed * (1 - missed)).sum())) + 1 / size

        size = float(max(1, int(self._two.sum())))
        usual = float(np.median(self._before.sum(axis=1))) if len(self._before) else size
        return Statistic(
            column=self._name,
            check="cardinality",
            name="share of known categories that are gone",
            value=now,
            past=np.asarray(absent, dtype=np.float64),
            resolution=chance(size),
            past_resolution=np.full(len(self._before), chance(max(1.0, usual))),
            rising=True,
            effect=_root_excess,
        )


def _root_excess(value: float, expected: float) -> float:
    # a share s on one side only is a chi-square effect of sqrt(s) where as much is lost as gained
    return math.sqrt(min(1.0, max(0.0, value - expected)))
