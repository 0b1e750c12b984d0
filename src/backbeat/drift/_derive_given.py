"""What is left of a column after the columns that explain it, fitted once and then frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from backbeat.drift._derive import CategoryTerm, NumericTerm, Residual
from backbeat.drift._scan import Categories, Flags, Floats, Numbers

__all__ = ["Sample", "fit", "residuals"]

Explainer = Numbers | Categories

_SAMPLE = 65_536
_PIECES = 100
_ROWS_PER_PIECE = 30
_CATEGORIES = 1_000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Sample:
    """Rows drawn evenly from a stream, the same for the same rows in the same order.

    A row is kept while the hash of its number lies below a bar, which is halved whenever more
    than 65,536 rows are kept; so the rows are a simple random sample of all, whatever period the
    data has.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._bar = 2**64
        self._hashes = np.empty(0, dtype=np.uint64)
        self._target = np.empty(0)
        self._explainers: list[list[object]] = []

    def add(self, target: Numbers, explainers: Sequence[Explainer]) -> None:
        """Take a block's rows, those whose target is finite and whose explainers are there."""
        whole = target.whole()
        usable = np.isfinite(whole)
        spread = [_spread(explainer) for explainer in explainers]
        for values, known in spread:
            usable &= known
            if values.dtype == np.float64:
                usable &= np.isfinite(values)
        places = np.arange(self._seen, self._seen + whole.size, dtype=np.uint64)
        self._seen += whole.size
        hashes = _hashed(places)
        if self._bar < 2**64:
            usable &= hashes < np.uint64(self._bar)
        kept = np.flatnonzero(usable)
        self._hashes = np.concatenate([self._hashes, hashes[kept]])
        self._target = np.concatenate([self._target, whole[kept]])
        columns: list[list[object]] = [
            _named(explainer, values[kept])
            for explainer, (values, _) in zip(explainers, spread, strict=True)
        ]
        before = self._explainers or [[] for _ in columns]
        self._explainers = [old + new for old, new in zip(before, columns, strict=True)]
        while self._target.size > _SAMPLE:
            self._halve()

    def _halve(self) -> None:
        self._bar //= 2
        kept = self._hashes < np.uint64(self._bar)
        self._hashes, self._target = self._hashes[kept], self._target[kept]
        places = np.flatnonzero(kept).tolist()
        self._explainers = [[column[at] for at in places] for column in self._explainers]

    def drawn(self) -> tuple[Floats, list[Explainer]]:
        """The target and the explainers of the rows that were kept."""
        found: list[Explainer] = []
        for column in self._explainers:
            if column and isinstance(column[0], str):
                coded = pa.array(column, pa.string()).dictionary_encode()
                found.append(Categories(coded.indices.to_numpy(), coded.dictionary))
            else:
                found.append(Numbers(np.asarray(column, dtype=np.float64)))
        return self._target, found


def _spread(explainer: Explainer) -> tuple[np.ndarray[tuple[int], np.dtype[np.generic]], Flags]:
    """One value or code per row, and whether the row has one."""
    if isinstance(explainer, Numbers):
        whole = explainer.whole()
        return whole, ~np.isnan(whole)
    if explainer.valid is None:
        return explainer.codes, np.ones(explainer.codes.size, dtype=np.bool_)
    codes = np.zeros(explainer.valid.size, dtype=explainer.codes.dtype)
    codes[explainer.valid] = explainer.codes
    return codes, explainer.valid


def _named(explainer: Explainer, values: object) -> list[object]:
    if isinstance(explainer, Numbers):
        return list(np.asarray(values).tolist())
    return list(explainer.names.take(pa.array(np.asarray(values))).to_pylist())


def fit(column: str, given: Sequence[str], sample: Sample, kinds: Sequence[str]) -> Residual:
    """Fit the terms one after the other, each on what the ones before it left.

    A number explains by a curve through the medians of up to 100 ranges of equal share; a
    category by its median, where at least 30 rows of the sample have it. Medians are not moved by
    the few rows that are far off.

    Args:
        column: The explained column.
        given: The explaining columns.
        sample: Their rows.
        kinds: `numeric` or `categorical` per explaining column.
    """
    left, explainers = sample.drawn()
    terms: list[NumericTerm | CategoryTerm] = []
    for place, (name, kind) in enumerate(zip(given, kinds, strict=True)):
        explainer = explainers[place] if left.size else None
        if kind == "numeric":
            values = explainer.values if isinstance(explainer, Numbers) else np.empty(0)
            term: NumericTerm | CategoryTerm = _curve(name, values, left)
        else:
            term = _levels(name, explainer if isinstance(explainer, Categories) else None, left)
        terms.append(term)
        if explainer is not None:
            left = left - _expected(term, explainer)
    return Residual(column=column, terms=tuple(terms))


def _curve(name: str, values: Floats, left: Floats) -> NumericTerm:
    if not left.size:
        return NumericTerm(column=name, at=(0.0,), value=(0.0,))
    order = np.argsort(values, kind="stable")
    values, left = values[order], left[order]
    pieces = max(1, min(_PIECES, left.size // _ROWS_PER_PIECE))
    wanted = np.arange(1, pieces) * left.size // pieces
    # equal values stay in one piece, so that the curve is a function
    bounds = np.unique([0, *np.searchsorted(values, values[wanted], side="left"), left.size])
    at, found = [], []
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        at.append(float(np.median(values[start:end])) + 0.0)
        found.append(float(np.median(left[start:end])) + 0.0)
    return NumericTerm(column=name, at=tuple(at), value=tuple(found))


def _levels(name: str, explainer: Categories | None, left: Floats) -> CategoryTerm:
    otherwise = float(np.median(left)) + 0.0 if left.size else 0.0
    if explainer is None:
        return CategoryTerm(column=name, value={}, otherwise=otherwise)
    names = explainer.spelled()
    sizes = np.bincount(explainer.codes, minlength=len(names)).tolist()
    frequent = sorted(range(len(names)), key=lambda at: (-sizes[at], names[at]))[:_CATEGORIES]
    order = np.argsort(explainer.codes, kind="stable")
    ends = np.cumsum(sizes)
    value = {
        names[at]: float(np.median(left[order[ends[at] - sizes[at] : ends[at]]])) + 0.0
        for at in frequent
        if sizes[at] >= _ROWS_PER_PIECE
    }
    return CategoryTerm(column=name, value=value, otherwise=otherwise)


def _expected(term: NumericTerm | CategoryTerm, explainer: Explainer) -> Floats:
    """What a term expects, per row; NaN where the explainer has no value."""
    values, known = _spread(explainer)
    if isinstance(term, NumericTerm):
        expected = np.interp(np.asarray(values, dtype=np.float64), term.at, term.value)
        return np.where(known, expected, np.nan)
    names = explainer.spelled() if isinstance(explainer, Categories) else []
    if not names:
        return np.full(values.size, np.nan)
    per_code = np.asarray([term.value.get(name, term.otherwise) for name in names])
    return np.where(known, per_code[np.asarray(values, dtype=np.int64)], np.nan)


def residuals(target: Numbers, explainers: Mapping[str, Explainer], how: Residual) -> Numbers:
    """The residual of every row; null where the column or one that explains it has no value."""
    left = target.whole()
    known = np.ones(left.size, dtype=np.bool_) if target.valid is None else target.valid.copy()
    for term in how.terms:
        explainer = explainers[term.column]
        left = left - _expected(term, explainer)
        if explainer.valid is not None:
            known &= explainer.valid
    return Numbers(left[known], known)


def _hashed(
    places: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    value = places * _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
