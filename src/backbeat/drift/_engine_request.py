"""From what was asked for to a profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from backbeat.drift._derive import (
    Derivation,
    EmbeddingFeatures,
    ReadAs,
    Residual,
    TextFeatures,
    residual_name,
)
from backbeat.drift._derive_plan import check_kind, leaf_types, make_plan
from backbeat.drift._engine import Counted, Engine
from backbeat.drift._engine_input import as_dataset
from backbeat.drift._engine_segments import SegmentIndex, frozen_segments
from backbeat.drift._scan import blocks
from backbeat.drift.profile import Kind, Profile, edges_digest
from backbeat.errors import ContractBroken, InvalidStep

__all__ = ["Request", "run"]

_FEW_ROWS = 1_024


@dataclass(frozen=True)
class Request:
    """The arguments of `build_profile`."""

    data: Any
    columns: Sequence[str] | None
    reference: Profile | None
    bins: int
    kinds: Mapping[str, Kind]
    given: Mapping[str, tuple[str, ...]]
    by: tuple[str, ...]
    progress: Callable[[int, int | None], None] | None


def run(request: Request, *, model: str | None, partition: str) -> Profile:
    """Build the profile."""
    data = as_dataset(request.data)
    reference = request.reference
    if request.bins < 1:
        raise InvalidStep(f"{request.bins} bins cannot be counted on.", hint="ask for 1 or more")
    before = () if reference is None else reference.derivations
    plan = make_plan(
        data.schema,
        columns=request.columns,
        derivations=(*before, *_new_derivations(data, request)),
        reference={} if reference is None else reference.columns,
        given=_new_given(request),
    )
    by, index = _segments(data.schema, request)
    engine = Engine(
        data,
        plan,
        frozen={} if reference is None else reference.columns,
        bins=request.bins,
        index=index,
        by=by,
        progress=request.progress,
    )
    counted = engine.run()
    added = [how for how in (*plan.derivations, *counted.fitted) if how not in before]
    return _profile(counted, reference, (*before, *added), by, model=model, partition=partition)


def _profile(
    counted: Counted,
    reference: Profile | None,
    derivations: tuple[Derivation, ...],
    by: Sequence[str],
    *,
    model: str | None,
    partition: str,
) -> Profile:
    digest = ""
    if (
        reference is not None
        and counted.columns.keys() <= reference.columns.keys()
        and counted.segments.keys() <= reference.segments.keys()
    ):
        digest = reference.edges_digest
    else:
        digest = edges_digest(counted.columns, derivations, counted.segments)
    return Profile(
        rows=counted.rows,
        columns=counted.columns,
        model=model,
        partition=partition,
        by=tuple(by),
        derivations=derivations,
        edges_digest=digest,
        segments={
            name: Profile(rows=rows, columns=columns, edges_digest=digest)
            for name, (rows, columns) in counted.segments.items()
        },
    )


def _new_derivations(data: ds.Dataset, request: Request) -> list[Derivation]:
    known = {
        how.column: how
        for how in (request.reference.derivations if request.reference else ())
        if not isinstance(how, Residual)
    }
    types = leaf_types(data.schema)
    found: list[Derivation] = []
    for column, kind in request.kinds.items():
        before = known.get(column)
        if before is not None:
            if _kind_of(before) != kind:
                raise InvalidStep(
                    f"The column {column!r} is read as {kind}, the reference reads it as "
                    f"{_kind_of(before)}.",
                    hint="leave `kinds` out: the reference says how its columns are read",
                )
            continue
        check_kind(data.schema, column, kind)
        if kind == "text":
            found.append(TextFeatures(column=column))
        elif kind == "embedding":
            dimension = _dimension(data, column, types[column])
            found.append(EmbeddingFeatures(column=column, dimension=dimension))
        else:
            found.append(ReadAs(column=column, how=kind))
    return found


def _kind_of(how: ReadAs | TextFeatures | EmbeddingFeatures) -> str:
    return how.how if isinstance(how, ReadAs) else how.kind


def _dimension(data: ds.Dataset, column: str, kind: pa.DataType) -> int:
    """The first vector's dimension; the others are held against it."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    top, *below = (column,) if column in data.schema.names else column.split(".")
    for block in blocks(data, [top], _FEW_ROWS):
        vectors = block.column(top)
        if below:
            vectors = pc.struct_field(vectors, below)
        lengths = pc.drop_null(pc.list_value_length(vectors))
        if len(lengths):
            return int(lengths[0].as_py())
    return 0


def _new_given(request: Request) -> dict[str, tuple[str, ...]]:
    known = request.reference.columns if request.reference else {}
    return {
        column: tuple(others)
        for column, others in request.given.items()
        if residual_name(column, tuple(others)) not in known
    }


def _segments(schema: pa.Schema, request: Request) -> tuple[tuple[str, ...], SegmentIndex | None]:
    reference = request.reference
    frozen = reference.by if reference is not None else ()
    if request.by and frozen and tuple(request.by) != frozen:
        raise InvalidStep(
            f"The rows are cut by {', '.join(request.by)}, the reference's by {', '.join(frozen)}.",
            hint="leave `by` out: the reference says how its rows are cut",
        )
    by = tuple(dict.fromkeys(frozen or request.by))
    if frozen and reference is not None:
        # a column that is gone cuts no rows; the decision names it
        by = tuple(column for column in by if column in schema.names)
        return by, frozen_segments(frozen, by, reference.segments) if by else None
    for column in by:
        why = "missing in the data" if column not in schema.names else ""
        if not why and pa.types.is_nested(schema.field(column).type):
            why = "nested"
        if not why and "=" in column:
            why = "ambiguous, its name has the sign that ends a segment's column"
        if why:
            raise ContractBroken(
                f"The column {column!r} cannot cut the rows into segments: it is {why}.",
                hint="name a column of the data that holds categories",
            )
    return by, None
