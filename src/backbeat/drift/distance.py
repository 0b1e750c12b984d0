"""How far apart two columns are, from exact counts on the same edges or categories.

Every effect lies in [0, 1] and does not grow with the number of rows; the p-value says whether
it could be chance. Sizes enter as the effective size n*m / (n + m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backbeat.errors import InvalidData

__all__ = [
    "Distance",
    "categories_distance",
    "categories_effects",
    "ks_distance",
    "ks_effects",
    "missing_distance",
    "psi",
]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_RARE = 5.0


@dataclass(frozen=True)
class Distance:
    """One comparison of a column.

    Args:
        measure: `ks` (Kolmogorov-Smirnov), `chi2` or `missing`.
        effect: Size of the difference, 0 (alike) to 1 (nothing in common).
        p: Probability of an effect at least as large where nothing changed.
        cells: Number of categories that were compared; 2 for `ks` and `missing`.
        size: Effective number of rows, n*m / (n + m).
    """

    measure: str
    effect: float
    p: float
    cells: int
    size: float

    def smallest_effect(self, *, q: float, power: float) -> float:
        """The smallest effect that rows of this number show at level q with this power.

        For `ks`: critical value plus the spread of the difference where it is widest, 1/2. For
        `chi2`: the noncentral chi-square whose noncentrality is 4 * size * effect**2.
        """
        from scipy import special

        if not self.size:
            return 1.0
        if self.measure == "chi2":
            df = max(1, self.cells - 1)
            noncentrality = special.chndtrinc(special.chdtri(df, q), df, 1 - power)
            return min(1.0, math.sqrt(noncentrality / (4 * self.size)))
        reach = special.kolmogi(q) + max(0.0, special.ndtri(power)) / 2
        return min(1.0, float(reach) / math.sqrt(self.size))


def ks_distance(reference: Sequence[int], current: Sequence[int]) -> Distance:
    """Two-sample Kolmogorov-Smirnov distance of counts on the same edges.

    The cumulative shares are exact at every edge, so D is exact where the edges are all distinct
    values and a lower bound elsewhere. p is Kolmogorov's limit at the effective size (Smirnov
    1939); ties and binning make it conservative (Noether 1963).

    Args:
        reference: Count per bin, in order; infinities in the outer bins.
        current: The same of the other sample.
    """
    one, two = _pair(reference, current)
    size = _effective(int(one.sum()), int(two.sum()))
    if not size:
        return Distance("ks", 0.0, 1.0, 2, 0.0)
    gaps = np.cumsum(one) / one.sum() - np.cumsum(two) / two.sum()
    effect = float(np.abs(gaps).max())
    return Distance("ks", effect, _kolmogorov(effect, size), 2, size)


def categories_distance(
    reference: Sequence[int], current: Sequence[int], *, rest: tuple[int, int] = (0, 0)
) -> Distance:
    """Two-sample chi-square over categories, those with an expected count under 5 pooled.

    The effect is sqrt(sum((p - q)**2 / (p + q)) / 2): sqrt(chi2 / N) as it would be were both
    samples of one size (Vincze and Le Cam's distance), because sqrt(chi2 / N) itself falls towards
    0 when a day is compared with a long reference. The pool stays a cell of its own, even a small
    one: folding it into a common category could hide a renamed one. The rest belongs to the pool,
    because the names on a frozen list were chosen for being frequent in the reference, and among
    rare ones that is chance: identifiers would always seem to drift.

    Args:
        reference: Count per category.
        current: The same categories' counts in the other sample.
        rest: Rows of both samples whose categories were not counted by name.
    """
    one, two = _pair(reference, current)
    n, m = int(one.sum()) + rest[0], int(two.sum()) + rest[1]
    size = _effective(n, m)
    if not size:
        return Distance("chi2", 0.0, 1.0, 0, 0.0)
    rare = (one + two) * (min(n, m) / (n + m)) < _RARE
    one = np.append(one[~rare], one[rare].sum() + rest[0])
    two = np.append(two[~rare], two[rare].sum() + rest[1])
    seen = (one + two) > 0
    p, q = one[seen] / n, two[seen] / m
    effect = math.sqrt(min(1.0, float((np.square(p - q) / (p + q)).sum()) / 2))
    pooled = (one[seen] + two[seen]) / (n + m)
    statistic = size * float((np.square(p - q) / pooled).sum())
    return Distance("chi2", effect, _chi_square(statistic, p.size - 1), int(p.size), size)


def categories_effects(reference: Counts, current: Counts) -> Floats:
    """The effect of `categories_distance` alone per row, NaN where a side has no values.

    Args:
        reference: Counts, shape (batches, categories + 1); the last is the rest.
        current: The same of the other samples.
    """
    n, m = reference.sum(axis=1, keepdims=True), current.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rare = (reference + current) * (np.minimum(n, m) / (n + m)) < _RARE
        rare[:, -1:] = True
        p, q = reference / n, current / m
        cells = np.where(rare, 0.0, np.square(p - q) / (p + q)).sum(axis=1)
        p, q = (np.where(rare, share, 0.0).sum(axis=1) for share in (p, q))
        cells += np.where(p + q > 0, np.square(p - q) / (p + q), 0.0)
        cells[(n * m)[:, 0] == 0] = np.nan
    return np.asarray(np.sqrt(np.minimum(1.0, cells / 2)), dtype=np.float64)


def ks_effects(reference: Counts, current: Counts) -> Floats:
    """Kolmogorov-Smirnov's D per row of two arrays of counts, NaN where a side has no values.

    Args:
        reference: Counts, shape (batches, bins) or (1, bins).
        current: Counts, shape (batches, bins).
    """
    with np.errstate(invalid="ignore"):
        one = np.cumsum(reference, axis=1) / reference.sum(axis=1, keepdims=True)
        two = np.cumsum(current, axis=1) / current.sum(axis=1, keepdims=True)
    return np.asarray(np.abs(one - two).max(axis=1), dtype=np.float64)


def missing_distance(
    reference: int, reference_rows: int, current: int, current_rows: int
) -> Distance:
    """The change of the share of missing rows, with Kolmogorov's p (conservative for two cells)."""
    size = _effective(reference_rows, current_rows)
    if not size:
        return Distance("missing", 0.0, 1.0, 2, 0.0)
    effect = abs(reference / reference_rows - current / current_rows)
    return Distance("missing", effect, _kolmogorov(effect, size), 2, size)


def psi(reference: Sequence[int], current: Sequence[int]) -> float | None:
    """Population stability index, for display only; None without rows on both sides.

    Its size under no change is about (bins - 1) * (1/n + 1/m) (Yurdakul 2018), so that no fixed
    threshold fits. Empty cells count as half a row.
    """
    one, two = _pair(reference, current)
    if not one.sum() or not two.sum():
        return None
    p, q = np.maximum(one, 0.5) / one.sum(), np.maximum(two, 0.5) / two.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _pair(reference: Sequence[int], current: Sequence[int]) -> tuple[Counts, Counts]:
    if len(reference) != len(current):
        raise InvalidData(
            "The two sides were counted on different edges.",
            hint="build the current profile with `edges_from=` the reference",
        )
    return np.asarray(reference, dtype=np.int64), np.asarray(current, dtype=np.int64)


def _effective(n: int, m: int) -> float:
    return n * m / (n + m) if n and m else 0.0


def _kolmogorov(effect: float, size: float) -> float:
    # `scipy.stats` has the same functions, and takes 50 MiB and half a second to import
    from scipy import special

    return float(special.kolmogorov(effect * math.sqrt(size)))


def _chi_square(statistic: float, df: int) -> float:
    from scipy import special

    return float(special.chdtrc(df, statistic)) if df else 1.0
