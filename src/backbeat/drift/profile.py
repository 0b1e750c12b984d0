"""The profile of a dataset: small, versioned, exact, and mergeable by adding integers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from backbeat.canonical import canonical_bytes
from backbeat.drift._columns import CategoricalColumn, Column, NumericColumn, merged
from backbeat.drift._derive import Derivation
from backbeat.drift._segments import SegmentCounts, expand, strip
from backbeat.errors import InvalidData

__all__ = ["CategoricalColumn", "Kind", "NumericColumn", "Profile", "build_profile", "edges_digest"]

_FORMAT: Final = "backbeat.profile"
_VERSION: Final = 2

Kind = Literal["text", "embedding", "category", "number"]


def edges_digest(
    columns: Mapping[str, NumericColumn | CategoricalColumn],
    derivations: Iterable[Derivation],
    segments: Iterable[str],
) -> str:
    """The name of a profile's edges, lists of categories, derivations and segments."""
    named = hashlib.sha256()
    for name, column in sorted(columns.items()):
        frozen: list[str] = []
        if isinstance(column, CategoricalColumn) and not column.complete:
            frozen = sorted(column.counts)
        named.update(canonical_bytes([name, column.kind, frozen]))
        if isinstance(column, NumericColumn):
            named.update(np.asarray(column.edges, dtype="<f8").tobytes())
    derived = [derivation.model_dump(mode="json") for derivation in derivations]
    named.update(canonical_bytes([derived, sorted(segments)]))
    return named.hexdigest()


class Profile(BaseModel):
    """Exact counts of every column of a dataset, on edges that are frozen once.

    Args:
        format: Names the file format.
        version: Version of the file format. Fields that a newer writer adds are left out.
        rows: Number of rows.
        columns: What was counted, per column; derived ones are named such as `review:length`,
            `address.city` or `air_time given distance`.
        model: The model version that the rows trained, such as `models:/flights/7`.
        partition: Which part of the data the rows are, such as an ISO day; empty for none.
        by: The columns whose values cut the rows into segments.
        derivations: How the derived columns are computed, again where `edges_from` names this.
        edges_digest: Names the edges (64 hexadecimal digits). Profiles with the same columns and
            the same digest can be merged.
        segments: The rows of every segment, such as `origin=JFK`, on the same edges; those with
            few rows are together in `origin=(other)`. In the file they do not repeat the edges.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    format: Literal["backbeat.profile"] = _FORMAT
    version: Literal[2] = _VERSION
    rows: NonNegativeInt
    columns: dict[str, Column]
    model: str | None = None
    partition: str = ""
    by: tuple[str, ...] = ()
    derivations: tuple[Derivation, ...] = ()
    edges_digest: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    segments: dict[str, Profile] = Field(default_factory=dict)

    @field_validator("segments", mode="before")
    @classmethod
    def _expanded(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping) or "columns" not in info.data:
            return value
        return {
            name: segment
            if isinstance(segment, Profile)
            else cls(
                **expand(SegmentCounts.model_validate(segment), info.data["columns"]),
                edges_digest=info.data.get("edges_digest", ""),
            )
            for name, segment in value.items()
        }

    @field_serializer("segments")
    def _without_edges(self, segments: dict[str, Profile]) -> dict[str, SegmentCounts]:
        return {name: strip(each.rows, each.columns) for name, each in segments.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        for name, column in self.columns.items():
            if column.present + column.missing != self.rows:
                raise ValueError(f"the counts of {name!r} do not add up to the rows")
        if not self.edges_digest:
            found = edges_digest(self.columns, self.derivations, self.segments)
            object.__setattr__(self, "edges_digest", found)
        return self

    def only(self, columns: Iterable[str]) -> Profile:
        """The profile of these columns, those that it has; the edges keep their name."""
        wanted = set(columns)
        return self.model_copy(
            update={
                "columns": {name: kept for name, kept in self.columns.items() if name in wanted},
                "segments": {name: each.only(wanted) for name, each in self.segments.items()},
            }
        )

    def merge(self, other: Profile) -> Profile:
        """The profile of both sides' rows together.

        Merging adds integers: it is commutative and associative. (The mean and the squared
        differences are floats; their last bits depend on how three or more are grouped.) What
        only one side says is left out: the model or the partition where the two differ, and the
        segments where one side has none.

        Args:
            other: A profile on the same edges, such as another partition's.

        Raises:
            InvalidData: The columns, their edges, the derivations or the segments differ.
        """
        if self.columns.keys() != other.columns.keys():
            differing = sorted(self.columns.keys() ^ other.columns.keys())
            raise InvalidData(
                f"The profiles do not have the same columns: {', '.join(map(repr, differing))}.",
                hint="profile the same `columns` on both sides",
            )
        if self.derivations != other.derivations:
            raise InvalidData(
                "The derived columns of the two profiles were computed in different ways.",
                hint="build the later profiles with `edges_from=` the first one",
            )
        columns = {
            name: merged(mine, other.columns[name], name=name)
            for name, mine in self.columns.items()
        }
        same_cut = self.by == other.by
        if same_cut and self.segments.keys() != other.segments.keys():
            raise InvalidData(
                f"The two profiles cut their rows by {', '.join(self.by)} into other segments.",
                hint="build the later profiles with `edges_from=` the first one",
            )
        kept = self.segments if same_cut else {}
        return Profile(
            rows=self.rows + other.rows,
            columns=columns,
            model=self.model if self.model == other.model else None,
            partition=self.partition if self.partition == other.partition else "",
            by=self.by if same_cut else (),
            derivations=self.derivations,
            segments={name: mine.merge(other.segments[name]) for name, mine in kept.items()},
            edges_digest=self.edges_digest if self.edges_digest == other.edges_digest else "",
        )

    def to_bytes(self) -> bytes:
        """The profile as canonical JSON (RFC 8785): equal profiles are equal bytes."""
        return canonical_bytes(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """Read a profile back, of this version of the format or of an older one.

        Raises:
            InvalidData: The bytes are truncated, are not a profile, or of a newer version.
        """
        again = "build the profile again"
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidData(
                f"This profile is truncated or not JSON: {error}.", hint=again
            ) from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise InvalidData(
                "This JSON is not a drift profile.", hint="pass what `Profile.to_bytes` wrote"
            )
        version = content.get("version")
        if isinstance(version, int) and version > _VERSION:
            raise InvalidData(
                f"This profile has version {version}, newer than {_VERSION}, the newest known.",
                hint="upgrade backbeat, or build the profile again with this version",
            )
        if version == 1:
            # version 2 only added fields
            content["version"] = _VERSION
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidData(
                f"This profile is damaged: {where or 'profile'}: {first['msg']}.", hint=again
            ) from error


def build_profile(
    data: Any,
    *,
    columns: Sequence[str] | None = None,
    edges_from: Profile | None = None,
    bins: int = 1000,
    kinds: Mapping[str, Kind] | None = None,
    given: Mapping[str, Sequence[str]] | None = None,
    by: Sequence[str] = (),
    model: str | None = None,
    partition: str = "",
    progress: Callable[[int, int | None], None] | None = None,
) -> Profile:
    """Count a dataset: a first pass chooses edges, a second one counts every value on them.

    With `edges_from`, the columns it has are counted on its edges in a single pass. A column with
    at most `bins` distinct numbers gets them all as edges. Categories are counted by name up to
    10,000 of them, beyond that the 1,000 most frequent and the rest. The rows are streamed; the
    memory does not grow with their number, and the same rows in the same order give the same
    bytes, whatever the number of threads (`pyarrow.set_cpu_count`).

    A struct is flattened (`address.city`), a list is counted by its length (`tags:length`), a
    fixed-size list of floats by its norm and its direction on eight fixed axes
    (`photo:norm`, `photo:axis1`); text by what needs no language (`review:length`, ...).

    Args:
        data: The rows: a pyarrow dataset, table or record batch, a pandas or polars frame (or
            what else hands out an Arrow stream), a path or a list of paths.
        columns: The columns to count, None for all. With `edges_from`, one that only the data
            lacks is left out, so that `decide` can name it.
        edges_from: The reference whose edges, lists of categories, derivations and segments are
            used.
        bins: About how many bins a numeric column is cut into.
        kinds: How a column is read where its type does not say it: strings as `text` or as
            `number`, lists of floats as `embedding`, anything as `category`.
        given: Columns that explain another one: `{"air_time": ["distance"]}` adds the column
            `air_time given distance`, what is left of it after what they explain.
        by: Columns whose values cut the rows into segments, counted in the same pass: the 50
            largest by name, the others together.
        model: The model version that these rows trained.
        partition: Which part of the data the rows are, such as an ISO day.
        progress: Called with the rows done, over all passes, and their total where it is known.

    Returns:
        The profile; without rows it has empty counts.

    Raises:
        ContractBroken: A column is missing, ambiguous or of a type that has no distribution.
        InvalidData: The data cannot be read to its end, or changed while it was read.
        InvalidStep: `given`, `kinds` or `by` contradict the reference.
        StorageFull: The disk failed; a retry can help.
    """
    from backbeat.drift._engine_request import Request, run

    return run(
        Request(
            data=data,
            columns=columns,
            reference=edges_from,
            bins=bins,
            kinds=dict(kinds or {}),
            given={column: tuple(others) for column, others in (given or {}).items()},
            by=tuple(by),
            progress=progress,
        ),
        model=model,
        partition=partition,
    )
