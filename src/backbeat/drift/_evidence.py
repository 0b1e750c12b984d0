"""What two profiles say about one column, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from backbeat.drift._bins import (
    Bin,
    category_bins,
    equal_share_bins,
    ordered_counts,
    shared_counts,
)
from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift.distance import (
    Distance,
    categories_distance,
    ks_distance,
    missing_distance,
    psi,
)
from backbeat.drift.profile import Profile
from backbeat.errors import InvalidData

__all__ = ["Evidence", "gather"]

_COMPATIBLE = frozenset({"integer", "number"})
_DECILES = 10


@dataclass(frozen=True)
class Evidence:
    """One column's comparisons.

    Args:
        name: The column.
        family: What its values are.
        schema: Why the columns cannot be compared at all, empty where they can.
        values: Comparison of the values, None where they cannot be compared.
        too_rare: Whether all categories are too rare to be compared.
        missing: Comparison of the share of missing rows, None where none are missing.
        reference_missing: Share of the reference's rows that are missing.
        current_missing: Share of the current rows that are missing.
        psi: Population stability index, for display.
        bins: Coarse bins with both sides' shares.
    """

    name: str
    family: str
    schema: str = ""
    values: Distance | None = None
    too_rare: bool = False
    missing: Distance | None = None
    reference_missing: float = 0.0
    current_missing: float = 0.0
    psi: float | None = None
    bins: list[Bin] = field(default_factory=list)


def gather(name: str, reference: Profile, current: Profile) -> Evidence:
    """Compare one column; raises InvalidData where the two were counted on different edges."""
    old, new = reference.columns.get(name), current.columns.get(name)
    if old is None or new is None:
        present = new if old is None else old
        what = "is new: the reference does not have it" if old is None else "is missing"
        return Evidence(name, present.family if present else "", schema=f"the column {what}")
    found = Evidence(
        name,
        old.family,
        reference_missing=old.missing / max(1, reference.rows),
        current_missing=new.missing / max(1, current.rows),
    )
    if old.family != new.family and not {old.family, new.family} <= _COMPATIBLE:
        return replace(found, schema=f"its type changed from {old.family} to {new.family}")
    if old.missing or new.missing:
        distance = missing_distance(old.missing, reference.rows, new.missing, current.rows)
        found = replace(found, missing=distance)
    if isinstance(old, NumericColumn) and isinstance(new, NumericColumn):
        return _numeric(found, old, new)
    if isinstance(old, CategoricalColumn) and isinstance(new, CategoricalColumn):
        return _categorical(found, old, new)
    return found


def _numeric(found: Evidence, old: NumericColumn, new: NumericColumn) -> Evidence:
    if old.edges != new.edges:
        raise InvalidData(
            f"The column {found.name!r} was counted on different edges.",
            hint="build the current profile with `edges_from=` the reference",
        )
    bins = equal_share_bins(old, new)
    deciles = equal_share_bins(old, new, _DECILES)
    return replace(
        found,
        values=ks_distance(ordered_counts(old), ordered_counts(new)),
        psi=_psi(deciles, old.present, new.present),
        bins=bins,
    )


def _categorical(found: Evidence, old: CategoricalColumn, new: CategoricalColumn) -> Evidence:
    names, one, two = shared_counts(old, new)
    distance = categories_distance(one[:-1], two[:-1], rest=(one[-1], two[-1]))
    bins = category_bins(old, new)
    return replace(
        found,
        values=distance,
        too_rare=distance.cells == 1 and len(names) > 1,
        psi=_psi(bins, old.present, new.present),
        bins=bins,
    )


def _psi(bins: list[Bin], n: int, m: int) -> float | None:
    one = [round(piece.reference * n) for piece in bins]
    return psi(one, [round(piece.current * m) for piece in bins])
