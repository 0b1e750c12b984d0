"""What is measured of a batch and of its columns: rows, missing rows, distances, quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backbeat.drift._arrays import (
    QUANTILES,
    Floats,
    bin_counts,
    bin_edges,
    column_quantiles,
    quantiles,
    rank,
)
from backbeat.drift._category_statistics import Categories
from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift._statistics import (
    BATCH,
    Statistic,
    distance_statistic,
    effective_size,
    effective_sizes,
    merged,
)
from backbeat.drift.distance import ks_effects
from backbeat.drift.profile import Profile

__all__ = ["batch_statistics", "column_statistics"]

_LOCATED = frozenset({"integer", "number", "duration", "time"})
_ROWS_RESOLUTION = 0.05
# where nothing changed, D is about 0.87 / sqrt(size), with a deviation of 0.26 / sqrt(size)
_CHANCE, _SPREAD = 0.87, 0.26


def batch_statistics(current: Profile, past: Sequence[Profile]) -> list[Statistic]:
    """Volume: the logarithm of the number of rows (and one, as a batch can be empty)."""
    rows = np.asarray([profile.rows for profile in past], dtype=np.float64)
    return [
        Statistic(
            column=BATCH,
            check="volume",
            name="log rows",
            value=math.log1p(current.rows),
            past=np.log1p(rows),
            resolution=_ROWS_RESOLUTION,
            past_resolution=np.full(rows.size, _ROWS_RESOLUTION),
            rising=False,
            effect=lambda value, expected: 1 - math.exp(-abs(value - expected)),
        )
    ]


def column_statistics(
    name: str,
    reference: Profile,
    current: Profile,
    past: Sequence[Profile],
    references: Floats | None,
) -> list[Statistic]:
    """Everything that is measured of one column; the distance is the first where there is one.

    Args:
        name: The column, in the reference and the batch, of the same type in both.
        reference: What the batch is compared with.
        current: The batch.
        past: The past batches.
        references: Which of them were the reference of each (`replay`), None for `reference`.
    """
    old, new = reference.columns[name], current.columns[name]
    found: list[Statistic] = []
    if not new.present or not old.present:
        pass
    elif isinstance(old, NumericColumn) and isinstance(new, NumericColumn):
        before = [profile.columns.get(name) for profile in past]
        usable = [
            column if isinstance(column, NumericColumn) and column.edges == old.edges else None
            for column in before
        ]
        found = _numeric(name, old, new, usable, references)
    elif isinstance(old, CategoricalColumn) and isinstance(new, CategoricalColumn):
        known = [profile.columns.get(name) for profile in past]
        categories = [c if isinstance(c, CategoricalColumn) else None for c in known]
        found = Categories(name, old, new, categories, references).statistics()
    return [*found, *_missing(name, current, past)]


def _missing(name: str, current: Profile, past: Sequence[Profile]) -> list[Statistic]:
    shares = np.full(len(past), np.nan)
    rows = np.ones(len(past))
    for at, profile in enumerate(past):
        column = profile.columns.get(name)
        if column is not None and profile.rows:
            shares[at], rows[at] = column.missing / profile.rows, profile.rows
    share = current.columns[name].missing / max(1, current.rows)
    if not share and not np.nansum(shares):
        return []
    usual = float(np.nanmean(shares)) if np.isfinite(shares).any() else 0.0
    spread = max(usual * (1 - usual), 0.0)
    return [
        Statistic(
            column=name,
            check="missing",
            name="share of missing rows",
            value=share,
            past=shares,
            resolution=_share_resolution(spread, float(max(1, current.rows))),
            past_resolution=np.asarray([_share_resolution(spread, size) for size in rows]),
            rising=False,
            effect=lambda value, expected: abs(value - expected),
        )
    ]


def _share_resolution(spread: float, size: float) -> float:
    return math.sqrt(max(spread, 1 / size) / size)


def _numeric(
    name: str,
    old: NumericColumn,
    new: NumericColumn,
    past: Sequence[NumericColumn | None],
    references: Floats | None,
) -> list[Statistic]:
    one, two, edges = bin_counts(old), bin_counts(new), bin_edges(old)
    nothing = np.zeros(one.size, dtype=np.int64)
    before = np.asarray([nothing if c is None else bin_counts(c) for c in past]).reshape(
        -1, one.size
    )
    compared = one[None, :] if references is None else merged(references, before)
    sizes = before.sum(axis=1)
    effects = ks_effects(compared, before)
    now = float(ks_effects(one[None, :], two[None, :])[0])
    found = [
        distance_statistic(
            name,
            ("ks", now, effects),
            chance=_CHANCE,
            spread=_SPREAD,
            size=effective_size(int(one.sum()), int(two.sum())),
            past_sizes=effective_sizes(compared.sum(axis=1), sizes),
        )
    ]
    if old.family not in _LOCATED or not edges.size:
        return found
    located = np.asarray(
        [np.full(len(QUANTILES), np.nan) if c is None else column_quantiles(c) for c in past]
    )
    values = column_quantiles(new)
    for at, share in enumerate(QUANTILES):
        reach = math.sqrt(share * (1 - share))
        widths = np.asarray([reach / math.sqrt(max(1, size)) for size in [two.sum(), *sizes]])
        shares = np.clip(np.concatenate([share - widths, share + widths]), 0, 1)
        ends = quantiles(one, edges, shares)
        spreads = (ends[widths.size :] - ends[: widths.size]) / 2
        found.append(
            Statistic(
                column=name,
                check="conditional" if " given " in name else "location",
                name=f"q{share * 100:.0f}",
                value=float(values[at]),
                past=located[:, at] if past else np.empty(0),
                resolution=float(spreads[0]),
                past_resolution=spreads[1:],
                rising=False,
                effect=lambda value, expected: float(
                    abs(np.subtract(*rank(one, edges, np.asarray([value, expected]))))
                ),
            )
        )
    return found
