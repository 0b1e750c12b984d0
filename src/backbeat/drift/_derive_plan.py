"""Which columns a profile will have, and how each is computed from a block of rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa

from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift._derive import (
    Derivation,
    EmbeddingFeatures,
    ReadAs,
    Residual,
    TextFeatures,
    residual_name,
)
from backbeat.drift._derive_source import NO_NUMBER, Explained, Feature, Source
from backbeat.drift._derive_text import TEXT_FEATURES
from backbeat.drift._derive_types import (
    family_of,
    is_binary,
    is_floats,
    is_list,
    is_number,
    is_text,
    is_vector,
)
from backbeat.drift._scan import Family
from backbeat.errors import ContractBroken, InvalidStep

__all__ = ["Plan", "check_kind", "leaf_types", "make_plan"]

Frozen = Mapping[str, NumericColumn | CategoricalColumn]


@dataclass(frozen=True)
class Plan:
    """What to compute.

    Args:
        sources: The data's columns.
        explained: The residual columns.
    """

    sources: tuple[Source, ...]
    explained: tuple[Explained, ...]

    @property
    def derivations(self) -> tuple[Derivation, ...]:
        """The frozen parameters of all derived columns; the terms must have been fitted."""
        read = [source.how for source in self.sources if source.how is not None]
        # what explains is read in the same way again, also where it is no column of the profile
        for each in self.explained:
            used = (each.target, *each.given)
            read += [s.how for s in used if s.how is not None and s.how not in read]
        terms = [each.how for each in self.explained if each.how is not None]
        return (
            *sorted(read, key=lambda how: how.column),
            *sorted(terms, key=lambda how: how.name),
        )


def make_plan(
    schema: pa.Schema,
    *,
    columns: Sequence[str] | None,
    derivations: Sequence[Derivation],
    reference: Frozen,
    given: Mapping[str, tuple[str, ...]],
) -> Plan:
    """Choose the columns.

    Args:
        schema: The data's.
        columns: The columns that were asked for, None for all.
        derivations: How columns are computed where their type does not say it.
        reference: The reference's columns: one of them that the data lacks is left out.
        given: Columns to explain that have no derivation yet, and by which others.

    Raises:
        ContractBroken: A column is absent, ambiguous or of a type without a distribution.
    """
    read = {how.column: how for how in derivations if not isinstance(how, Residual)}
    frozen = {how.name: how for how in derivations if isinstance(how, Residual)}
    leaves = _leaves(schema)
    asked = None if columns is None else list(dict.fromkeys(columns))
    if asked == [] or (asked is None and not leaves):
        raise ContractBroken(
            "There are no columns to profile.", hint="name at least one column that the data has"
        )
    explain = {residual_name(name, others): (name, others) for name, others in given.items()}
    sources = [
        source
        for name, (path, kind) in leaves.items()
        if (source := _asked(_source(name, path, kind, read, asked), asked)) is not None
    ]
    made = {feature.name for source in sources for feature in source.features}
    tops = {path[0] for path, _ in leaves.values()}
    for name in {*(asked or ())} - {*made, *leaves, *tops, *frozen, *explain, *reference}:
        _absent(name, schema, leaves)
    wanted = [how for title, how in frozen.items() if asked is None or title in {*asked, *explain}]
    explained = [each for how in wanted if (each := _again(how, leaves, read)) is not None]
    explained += [
        _to_fit(target, others, schema, leaves, read)
        for title, (target, others) in explain.items()
        if title not in frozen
    ]
    features = [each.features for each in sources] + [each.features for each in explained]
    _unique([feature.name for each in features for feature in each])
    return Plan(tuple(_like(source, reference) for source in sources), tuple(explained))


def leaf_types(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The columns' types, with structs' fields by their own names."""
    return {name: kind for name, (_, kind) in _leaves(schema).items()}


def check_kind(schema: pa.Schema, column: str, kind: str) -> None:
    """Refuse to read a column as what its type cannot be.

    Raises:
        ContractBroken: It is missing, or of a type that cannot be read so.
        InvalidStep: There is no such way to read a column.
    """
    leaves = _leaves(schema)
    if kind not in _KINDS:
        raise InvalidStep(
            f"A column cannot be read as {kind!r}.", hint=f"choose one of {', '.join(_KINDS)}"
        )
    if column not in leaves:
        _absent(column, schema, leaves)
    if not _can(_KINDS[kind], leaves[column][1]):
        raise ContractBroken(
            f"The column {column!r} is of type {leaves[column][1]}, which is not read as {kind}.",
            hint="text is made of strings, an embedding of floats in a list",
        )


_KINDS: dict[str, Any] = {
    "text": TextFeatures(column=""),
    "embedding": EmbeddingFeatures(column="", dimension=0),
    "category": ReadAs(column="", how="category"),
    "number": ReadAs(column="", how="number"),
}

Leaves = dict[str, tuple[tuple[str, ...], pa.DataType]]


def _leaves(schema: pa.Schema) -> Leaves:
    found: Leaves = {}
    for name in dict.fromkeys(schema.names):
        places = schema.get_all_field_indices(name)
        kind = schema.field(places[0]).type
        for path, leaf in _below((name,), kind):
            title = ".".join(path)
            # an ambiguous name is refused where it is asked for
            found[title] = (path, _AMBIGUOUS if len(places) > 1 or title in found else leaf)
    return found


def _below(path: tuple[str, ...], kind: pa.DataType) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not pa.types.is_struct(kind):
        yield path, kind
        return
    for place in range(kind.num_fields):
        field = kind.field(place)
        yield from _below((*path, field.name), field.type)


_AMBIGUOUS: Any = None


def _base(name: str) -> str:
    return name.rpartition(":")[0] or name


def _absent(name: str, schema: pa.Schema, leaves: Leaves) -> NoReturn:
    near = difflib.get_close_matches(name, [*schema.names, *leaves], n=1)
    raise ContractBroken(
        f"The column {name!r} is missing in the data.",
        hint=f"did you mean {near[0]!r}?" if near else "check the columns' names",
    )


def _asked(source: Source, asked: list[str] | None) -> Source | None:
    if asked is None or source.name in asked or source.path[0] in asked:
        return source
    kept = tuple(feature for feature in source.features if feature.name in asked)
    if not kept:
        return None
    return Source(source.name, source.path, source.kind, source.how, kept)


def _sources(
    names: Sequence[str], leaves: Leaves, read: Mapping[str, Any]
) -> tuple[Source, ...] | None:
    if any(name not in leaves for name in names):
        return None
    return tuple(_source(name, *leaves[name], read, None) for name in names)


def _again(how: Residual, leaves: Leaves, read: Mapping[str, Any]) -> Explained | None:
    """The frozen terms on this data; None where a part is gone or of another sort."""
    parts = _sources((how.column, *(term.column for term in how.terms)), leaves, read)
    if parts is None or not parts[0].features[0].numeric:
        return None
    for source, term in zip(parts[1:], how.terms, strict=True):
        if source.features[0].numeric != (term.kind == "numeric"):
            return None
    return Explained(parts[0], parts[1:], how)


def _to_fit(
    target: str,
    others: tuple[str, ...],
    schema: pa.Schema,
    leaves: Leaves,
    read: Mapping[str, Any],
) -> Explained:
    if not others or target in others:
        raise InvalidStep(
            f"`given` explains {target!r} by {'itself' if others else 'no column'}.",
            hint="name the other columns that explain it",
        )
    parts = _sources((target, *others), leaves, read)
    if parts is None:
        _absent(next(n for n in (target, *others) if n not in leaves), schema, leaves)
    if not parts[0].features[0].numeric or parts[0].features[0].name != target:
        raise ContractBroken(f"The column {target!r} is not a number.", hint=NO_NUMBER)
    for source in parts[1:]:
        if len(source.features) != 1 or source.features[0].name != source.name:
            raise ContractBroken(
                f"The column {source.name!r} cannot explain another one: it is no single value.",
                hint=NO_NUMBER,
            )
    return Explained(parts[0], parts[1:], None)


def _unique(names: list[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ContractBroken(
            f"Two columns of the profile would be named {twice[0]!r}.",
            hint="rename one of them, or leave it out with `columns`",
        )


def _like(source: Source, reference: Frozen) -> Source:
    features = tuple(_as_reference(each, reference.get(each.name)) for each in source.features)
    return Source(source.name, source.path, source.kind, source.how, features)


def _as_reference(feature: Feature, frozen: NumericColumn | CategoricalColumn | None) -> Feature:
    if frozen is None:
        return feature
    if feature.family == "empty":
        # a column of nulls only has no type of its own: it takes the reference's
        zoned = frozen.zoned if isinstance(frozen, NumericColumn) else None
        return Feature(feature.name, frozen.family, zoned)
    if isinstance(frozen, NumericColumn) and feature.family == frozen.family == "timestamp":
        if frozen.zoned is None:
            return Feature(feature.name, "timestamp", None)
        if frozen.zoned != feature.zoned:
            other: Family = "zoned timestamp" if feature.zoned else "naive timestamp"
            return Feature(feature.name, other, feature.zoned)
    return feature


def _source(
    name: str,
    path: tuple[str, ...],
    kind: pa.DataType,
    read: Mapping[str, Any],
    asked: list[str] | None,
) -> Source:
    wanted = asked is None or name in asked or path[0] in asked
    wanted = wanted or any(_base(each) == name for each in asked or ())
    if not wanted:
        return Source(name, path, kind, None, ())
    if kind is _AMBIGUOUS:
        raise ContractBroken(
            f"The column {name!r} appears more than once in the data.",
            hint="rename one of them",
        )
    how = read.get(name)
    if not _can(how, kind):
        how = None
    if how is None and is_vector(kind):
        how = EmbeddingFeatures(column=name, dimension=kind.list_size)
    return Source(name, path, kind, how, _features(name, kind, how))


def _can(how: Any, kind: pa.DataType) -> bool:
    if isinstance(how, TextFeatures):
        return is_text(kind) or pa.types.is_null(kind)
    if isinstance(how, EmbeddingFeatures):
        return is_vector(kind) or is_floats(kind)
    if isinstance(how, ReadAs):
        flat = not (pa.types.is_nested(kind) or is_binary(kind))
        return flat and (how.how == "category" or is_text(kind) or is_number(kind))
    return True


def _features(
    name: str, kind: pa.DataType, how: ReadAs | TextFeatures | EmbeddingFeatures | None
) -> tuple[Feature, ...]:
    if isinstance(how, TextFeatures):
        shares = [Feature(f"{name}:{each}", "number") for each in TEXT_FEATURES[2:]]
        sizes = [Feature(f"{name}:{each}", "integer") for each in TEXT_FEATURES[:2]]
        return (*sizes, *shares, Feature(f"{name}:token", "category"))
    if isinstance(how, EmbeddingFeatures):
        along = [f"axis{axis + 1}" for axis in range(how.projections)]
        return tuple(Feature(f"{name}:{each}", "number") for each in ["norm", *along])
    if isinstance(how, ReadAs):
        plain = is_number(kind) and how.how == "number"
        return (Feature(name, family_of(name, kind) if plain else _READ[how.how]),)
    if is_list(kind):
        return (Feature(f"{name}:length", "integer"),)
    zoned = kind.tz is not None if pa.types.is_timestamp(kind) else None
    return (Feature(name, family_of(name, kind), zoned),)


_READ: dict[str, Family] = {"category": "category", "number": "number"}
