"""What a profile holds of one column: exact counts, and what merging two of them means."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from backbeat.drift._distinct import distinct_count, distinct_sketch, merge_distinct
from backbeat.drift._scan import NumericFamily
from backbeat.errors import InvalidData

__all__ = ["CategoricalColumn", "Column", "NumericColumn", "merged"]

_SAME_EDGES = "build the later profiles with `edges_from=` the first one"


class _Frozen(BaseModel):
    # a newer minor version may say more; what this one does not know it leaves out
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class NumericColumn(_Frozen):
    """Exact counts of a numeric column on frozen edges.

    Args:
        family: What the numbers are: dates in days, times and timestamps in seconds, since 1970.
            `naive timestamp` or `zoned timestamp` where the reference's timestamps are of the
            other sort.
        edges: Ascending; bin i holds edges[i-1] < value <= edges[i], the first and last are open.
        counts: Finite values per bin, one more than edges.
        nulls: Rows without a value.
        nans: Values that are not a number.
        negative_infinite: Values that are minus infinity.
        positive_infinite: Values that are plus infinity.
        minimum: Smallest finite value, None without any.
        maximum: Largest finite value, None without any.
        mean: Mean of the finite values; None without any, or where it overflows.
        m2: Sum of squared differences from the mean (Chan, Golub and LeVeque 1983); None likewise.
        zoned: Whether timestamps have a time zone; None for all else, and where version 1 of the
            format did not say it.
    """

    kind: Literal["numeric"] = "numeric"
    family: NumericFamily
    edges: tuple[float, ...]
    counts: tuple[NonNegativeInt, ...]
    nulls: NonNegativeInt = 0
    nans: NonNegativeInt = 0
    negative_infinite: NonNegativeInt = 0
    positive_infinite: NonNegativeInt = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    m2: float | None = None
    zoned: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> NumericColumn:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("a profile has one count more than edges")
        edges = np.asarray(self.edges, dtype=np.float64)
        if not (edges[1:] > edges[:-1]).all():
            raise ValueError("the edges of a profile ascend")
        return self

    @property
    def finite(self) -> int:
        """Number of finite values."""
        return sum(self.counts)

    @property
    def present(self) -> int:
        """Number of values that can be ordered: all but nulls and NaN."""
        return self.finite + self.negative_infinite + self.positive_infinite

    @property
    def missing(self) -> int:
        """Number of rows that are null or NaN."""
        return self.nulls + self.nans

    @property
    def deviation(self) -> float | None:
        """Standard deviation (n - 1) of the finite values, None below two of them."""
        if self.m2 is None or self.finite <= 1:
            return None
        return math.sqrt(self.m2 / (self.finite - 1))

    def merge(self, other: NumericColumn, *, name: str) -> NumericColumn:
        """Both columns' rows together; raises InvalidData where the edges differ."""
        families = {self.family, other.family}
        zones = {self.zoned, other.zoned} - {None}
        if (
            self.edges != other.edges
            or (len(families) > 1 and families != {"integer", "number"})
            or len(zones) > 1
        ):
            raise InvalidData(
                f"The column {name!r} was counted on other edges or is of another type.",
                hint=_SAME_EDGES,
            )
        mean, m2 = _moments(self, other)
        lows = [c.minimum for c in (self, other) if c.minimum is not None]
        highs = [c.maximum for c in (self, other) if c.maximum is not None]
        return NumericColumn(
            family=self.family if len(families) == 1 else "number",
            edges=self.edges,
            counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            nulls=self.nulls + other.nulls,
            nans=self.nans + other.nans,
            negative_infinite=self.negative_infinite + other.negative_infinite,
            positive_infinite=self.positive_infinite + other.positive_infinite,
            minimum=min(lows, default=None),
            maximum=max(highs, default=None),
            mean=mean,
            m2=m2,
            zoned=next(iter(zones), None),
        )


def _moments(one: NumericColumn, two: NumericColumn) -> tuple[float | None, float | None]:
    if not one.finite or not two.finite:
        filled = one if one.finite else two
        return filled.mean, filled.m2
    if one.mean is None or two.mean is None or one.m2 is None or two.m2 is None:
        return None, None
    n = one.finite + two.finite
    # written so that swapping the sides changes no bit
    mean = one.mean * (one.finite / n) + two.mean * (two.finite / n)
    m2 = (one.m2 + two.m2) + (one.mean - two.mean) ** 2 * (one.finite * two.finite / n)
    return (mean, m2) if math.isfinite(mean) and math.isfinite(m2) else (None, None)


class CategoricalColumn(_Frozen):
    """Exact counts of categories: all of them, or a frozen list and one count for the rest.

    Args:
        counts: Rows per category.
        other: Rows of categories that are not in the list; 0 where the counts are complete.
        nulls: Rows without a value.
        complete: Whether every category is counted by name. Else the names are frozen, like edges.
        distinct: Sketch of the distinct categories, empty where the counts are complete.
    """

    kind: Literal["categorical"] = "categorical"
    family: Literal["category"] = "category"
    counts: dict[str, NonNegativeInt]
    other: NonNegativeInt = 0
    nulls: NonNegativeInt = 0
    complete: bool = True
    distinct: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> CategoricalColumn:
        if self.complete and (self.other or self.distinct):
            raise ValueError("complete counts have no rest")
        distinct_count(self.distinct)  # raises ValueError where it is no base64
        return self

    @property
    def present(self) -> int:
        """Number of rows with a category."""
        return sum(self.counts.values()) + self.other

    @property
    def missing(self) -> int:
        """Number of rows that are null."""
        return self.nulls

    @property
    def distinct_values(self) -> int:
        """Number of distinct categories; an estimate (3%) where the counts are not complete."""
        return len(self.counts) if self.complete else distinct_count(self.distinct)

    def folded(self, names: frozenset[str]) -> CategoricalColumn:
        """The same rows on a frozen list of names; all others become the rest."""
        kept = dict.fromkeys(names, 0) | {k: v for k, v in self.counts.items() if k in names}
        return CategoricalColumn(
            counts=kept,
            other=self.present - sum(kept.values()),
            nulls=self.nulls,
            complete=False,
            distinct=distinct_sketch(self.counts, self.distinct),
        )

    def merge(self, other: CategoricalColumn, *, name: str) -> CategoricalColumn:
        """Both columns' rows together; raises InvalidData where two frozen lists differ."""
        if self.complete and other.complete:
            counts = {
                key: self.counts.get(key, 0) + other.counts.get(key, 0)
                for key in self.counts | other.counts
            }
            return CategoricalColumn(counts=counts, nulls=self.nulls + other.nulls)
        frozen = frozenset((other if self.complete else self).counts)
        one = self.folded(frozen) if self.complete else self
        two = other.folded(frozen) if other.complete else other
        if two.counts.keys() != frozen:
            raise InvalidData(
                f"The column {name!r} was counted on another list of categories.", hint=_SAME_EDGES
            )
        return CategoricalColumn(
            counts={key: one.counts[key] + two.counts[key] for key in frozen},
            other=one.other + two.other,
            nulls=one.nulls + two.nulls,
            complete=False,
            distinct=merge_distinct(one.distinct, two.distinct),
        )


Column = Annotated[NumericColumn | CategoricalColumn, Field(discriminator="kind")]


def merged(one: Column, two: Column, *, name: str) -> NumericColumn | CategoricalColumn:
    """Two columns' rows together.

    Raises:
        InvalidData: Their types or their edges differ.
    """
    if isinstance(one, NumericColumn) and isinstance(two, NumericColumn):
        return one.merge(two, name=name)
    if isinstance(one, CategoricalColumn) and isinstance(two, CategoricalColumn):
        return one.merge(two, name=name)
    raise InvalidData(
        f"The column {name!r} is numeric on one side and categorical on the other.",
        hint="cast it to one type before profiling",
    )
