"""One column of the data, or several, and what is computed from a block of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from backbeat.drift._derive import (
    EmbeddingFeatures,
    ReadAs,
    Residual,
    TextFeatures,
    residual_name,
)
from backbeat.drift._derive_embedding import axes, embedding_features
from backbeat.drift._derive_given import residuals
from backbeat.drift._derive_text import text_features
from backbeat.drift._scan import Categories, Family, Floats, Numbers, categories, numbers
from backbeat.errors import ContractBroken

__all__ = ["NO_NUMBER", "Explained", "Feature", "Source"]

Values = Numbers | Categories

NO_NUMBER = "explain a column of numbers by others that are in the data"
_COMPARABLE = {"category", "empty"}
_NO_VECTOR = EmbeddingFeatures(column="", dimension=0)


@dataclass(frozen=True)
class Feature:
    """A column of the profile.

    Args:
        name: Its name.
        family: What its values are.
        zoned: Whether timestamps have a time zone.
    """

    name: str
    family: Family
    zoned: bool | None = None

    @property
    def numeric(self) -> bool:
        """Whether it is counted on edges."""
        return self.family not in _COMPARABLE


@dataclass(frozen=True)
class Source:
    """A column of the data, a struct's field among them, and what is computed from it.

    Args:
        name: `address.city` for a struct's field.
        path: The column, then the fields to go into.
        kind: Its Arrow type.
        how: How it is computed where not by its type.
        features: What becomes of it.
    """

    name: str
    path: tuple[str, ...]
    kind: pa.DataType
    how: ReadAs | TextFeatures | EmbeddingFeatures | None
    features: tuple[Feature, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The data's columns that are read."""
        return self.path[:1]

    def values(self, block: pa.Table) -> Iterator[tuple[str, Values]]:
        """What becomes of a block, per feature."""
        column = block.column(self.path[0])
        if len(self.path) > 1:
            column = pc.struct_field(column, list(self.path[1:]))
        wanted = {feature.name for feature in self.features}
        if isinstance(self.how, TextFeatures):
            found: Iterable[tuple[str, Values]] = text_features(column, self.how)
        elif isinstance(self.how, EmbeddingFeatures):
            found = embedding_features(column, self.how, self._axes)
        else:
            yield self.features[0].name, self._plain(column)
            return
        for name, values in found:
            if f"{self.name}:{name}" in wanted:
                yield f"{self.name}:{name}", values

    def _plain(self, column: pa.ChunkedArray) -> Values:
        if self.features[0].name != self.name:
            return numbers(pc.list_value_length(column))
        if self.features[0].numeric:
            return numbers(column)
        return categories(column)

    @cached_property
    def _axes(self) -> Floats:
        return axes(self.how) if isinstance(self.how, EmbeddingFeatures) else axes(_NO_VECTOR)


@dataclass(frozen=True)
class Explained:
    """A residual column: a target and the columns that explain it.

    Args:
        target: The explained column.
        given: The explaining columns.
        how: The frozen terms; None where they are still to be fitted.
    """

    target: Source
    given: tuple[Source, ...]
    how: Residual | None

    @property
    def features(self) -> tuple[Feature, ...]:
        """The residual."""
        return (Feature(self.name, "number"),)

    @property
    def name(self) -> str:
        """Such as `air_time given distance`."""
        return residual_name(self.target.name, tuple(source.name for source in self.given))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The data's columns that are read."""
        return tuple(dict.fromkeys(source.path[0] for source in (self.target, *self.given)))

    def parts(self, block: pa.Table) -> tuple[Numbers, dict[str, Values]]:
        """The target's and the explainers' values."""
        (_, target), *_ = self.target.values(block)
        explainers = {source.name: next(iter(source.values(block)))[1] for source in self.given}
        if not isinstance(target, Numbers):
            raise ContractBroken(
                f"The column {self.target.name!r} is not a number.", hint=NO_NUMBER
            )
        return target, explainers

    def values(self, block: pa.Table) -> Iterator[tuple[str, Values]]:
        """What becomes of a block; nothing before the terms are fitted."""
        if self.how is not None:
            yield self.name, residuals(*self.parts(block), self.how)
