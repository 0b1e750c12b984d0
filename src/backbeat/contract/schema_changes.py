"""Two versions of a JSON Schema (draft 2020-12), as who writes the documents sees them.

It understands what pydantic writes. A keyword that it does not understand breaks when it changes:
better one version too many than one step that no longer runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backbeat.canonical import canonical_bytes
from backbeat.contract.differences import Difference, Level, highest
from backbeat.contract.json_schema import (
    accepts_anything,
    alternatives,
    constraints,
    json_type,
    lower_bound,
    upper_bound,
    values_of,
    worded,
)

__all__ = ["schema_differences"]

Schema = Mapping[str, Any]
_UNSAID = object()
_LOWER = ("minLength", "minItems", "minProperties")
_UPPER = ("maxLength", "maxItems", "maxProperties")
_HELD = ("pattern", "format", "multipleOf", "uniqueItems")


def schema_differences(old: Schema, new: Schema) -> Iterator[Difference]:
    """What no longer validates or means something else, and what newly validates."""
    before, after = _without_lone_kind(old, new), _without_lone_kind(new, old)
    yield from _Walk(before, after).node("", before, after)


def _without_lone_kind(schema: Schema, other: Schema) -> Schema:
    # `backbeat schema` adds the kind, the published files leave it to their name
    if "kind" in other.get("properties", {}) or "kind" not in schema.get("properties", {}):
        return schema
    return {
        **schema,
        "properties": {k: v for k, v in schema["properties"].items() if k != "kind"},
        "required": [name for name in schema.get("required", []) if name != "kind"],
    }


class _Walk:
    """Both schemas side by side, from the root down."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._roots = old, new
        self._open: set[tuple[int, int]] = set()

    def node(self, where: str, old: Any, new: Any) -> Iterator[Difference]:
        """What differs from here on, references and alternatives included."""
        both = (id(old), id(new))
        if both in self._open:
            return  # a schema that contains itself: being compared further up
        self._open.add(both)
        yield from self._either(where, old, new)
        self._open.discard(both)

    def _either(self, where: str, old: Any, new: Any) -> Iterator[Difference]:
        before = list(alternatives(old, self._roots[0]))
        after = list(alternatives(new, self._roots[1]))
        if len(before) == len(after) == 1:
            yield from self.one(where, before[0], after[0])
            return
        met = set()
        for alternative in before:
            tried = [list(self.one(where, alternative, other)) for other in after]
            ranked = sorted(range(len(after)), key=lambda index: _badness(tried[index]))
            best = ranked[0]
            if highest(tried[best]) == "breaking" and not _same_sort(alternative, after[best]):
                words = f"no longer takes {worded(alternative)}"
                yield _said("breaking", where, words)
                continue
            met.add(best)
            yield from tried[best]
        for index, alternative in enumerate(after):
            if index not in met and not self._taken_before(alternative, before):
                yield _said("additive", where, f"also takes {worded(alternative)}")

    def _taken_before(self, alternative: Schema, before: Sequence[Schema]) -> bool:
        back = _Walk(*reversed(self._roots))
        return any(highest(back.one("", alternative, old)) != "breaking" for old in before)

    def one(self, where: str, old: Schema, new: Schema) -> Iterator[Difference]:
        """What differs between two schemas without alternatives."""
        if accepts_anything(new):
            if not accepts_anything(old):
                yield _said("additive", where, "takes anything")
            return
        if accepts_anything(old):
            yield _said("breaking", where, f"takes only {worded(new)}")
            return
        if values_of(old) is not None or values_of(new) is not None:
            yield from _values(where, old, new)
            return
        kinds = old.get("type"), new.get("type")
        if kinds == ("integer", "number"):
            yield _said("additive", where, "takes any number")
        elif kinds[0] != kinds[1]:
            yield _said("breaking", where, f"takes {worded(new)} instead of {worded(old)}")
            return
        yield from _constraints(where, old, new)
        yield from self._items(where, old, new)
        yield from self._fields(where, old, new)

    def _items(self, where: str, old: Schema, new: Schema) -> Iterator[Difference]:
        fixed = old.get("prefixItems", []), new.get("prefixItems", [])
        if len(fixed[0]) != len(fixed[1]):
            yield _said("breaking", where, f"has {len(fixed[1])} places, not {len(fixed[0])}")
            return
        for index, (before, after) in enumerate(zip(*fixed, strict=True)):
            yield from self.node(f"{where}[{index}]", before, after)
        yield from self._open_part(f"{where}[]", "items", old, new)

    def _fields(self, where: str, old: Schema, new: Schema) -> Iterator[Difference]:
        before, after = old.get("properties", {}), new.get("properties", {})
        demanded = set(old.get("required", [])), set(new.get("required", []))
        for name in [*before, *sorted(demanded[0] - set(before))]:
            place = f"{where}.{name}" if where else name
            if name not in after and name not in demanded[1]:
                yield _said("breaking", place, "field removed")
                continue
            needed = name in demanded[0], name in demanded[1]
            if needed == (False, True):
                yield _said("breaking", place, "is now required")
            elif needed == (True, False):
                yield _said("additive", place, "is now optional")
            elif needed == (False, False):
                yield from _default(place, before.get(name, {}), after.get(name, {}))
            yield from self.node(place, before.get(name, {}), after.get(name, {}))
        for name in [*after, *sorted(demanded[1] - set(after))]:
            if name not in before and name not in demanded[0]:
                place = f"{where}.{name}" if where else name
                yield (
                    _said("breaking", place, "required field added")
                    if name in demanded[1]
                    else _said("additive", place, "optional field added")
                )
        yield from self._open_part(f"{where}{{}}", "additionalProperties", old, new)

    def _open_part(
        self, where: str, keyword: str, old: Schema, new: Schema
    ) -> Iterator[Difference]:
        before, after = old.get(keyword, True), new.get(keyword, True)
        if before is False and after is not False:
            yield _said("additive", where, "more is allowed")
        elif after is False and before is not False:
            yield _said("breaking", where, "no more is allowed")
        elif before is not False:
            yield from self.node(where, before, after)


def _values(where: str, old: Schema, new: Schema) -> Iterator[Difference]:
    before, after = values_of(old), values_of(new)
    if after is None:
        plain = set(constraints(new)) == {"type"}
        fits = plain and all(json_type(value) == new["type"] for value in before or ())
        level: Level = "additive" if fits else "breaking"
        yield _said(level, where, f"takes {worded(new)} instead of {worded(old)}")
    elif before is None:
        yield _said("breaking", where, f"takes only {worded(new)}")
    else:
        known = {canonical_bytes(value) for value in before}
        kept = {canonical_bytes(value) for value in after}
        for value in before:
            if canonical_bytes(value) not in kept:
                yield _said("breaking", where, f"no longer takes {value!r}")
        for value in after:
            if canonical_bytes(value) not in known:
                yield _said("additive", where, f"also takes {value!r}")


def _constraints(where: str, old: Schema, new: Schema) -> Iterator[Difference]:
    yield from _bound(where, "smallest value", lower_bound(old), lower_bound(new), 1)
    yield from _bound(where, "largest value", upper_bound(old), upper_bound(new), -1)
    for keyword in _LOWER:
        yield from _bound(where, keyword, old.get(keyword), new.get(keyword), 1)
    for keyword in _UPPER:
        yield from _bound(where, keyword, old.get(keyword), new.get(keyword), -1)
    for keyword in _HELD:
        if old.get(keyword) != new.get(keyword):
            level: Level = "breaking" if new.get(keyword) else "additive"
            words = f"{keyword} {old.get(keyword)} is now {new.get(keyword)}"
            yield _said(level, where, words)
    understood = {"type", "enum", "const", "items", "prefixItems", "properties", "required"}
    understood |= {"additionalProperties", "minimum", "maximum"}
    understood |= {"exclusiveMinimum", "exclusiveMaximum", *_LOWER, *_UPPER, *_HELD}
    for keyword in sorted((set(constraints(old)) | set(constraints(new))) - understood):
        if old.get(keyword) != new.get(keyword):
            yield _said("breaking", where, f"{keyword} changed")


def _bound(where: str, name: str, old: Any, new: Any, stricter: int) -> Iterator[Difference]:
    if old == new:
        return
    if old is None:
        yield _said("breaking", where, f"{name} is now {_limit(new)}")
    elif new is None:
        yield _said("additive", where, f"{name} {_limit(old)} is gone")
    else:
        level: Level = "breaking" if (new > old) == (stricter > 0) else "additive"
        yield _said(level, where, f"{name} {_limit(old)} is now {_limit(new)}")


def _limit(bound: Any) -> str:
    if not isinstance(bound, tuple):
        return str(bound)
    value, beside = bound
    return f"{value} (itself excluded)" if beside else str(value)


def _default(where: str, old: Any, new: Any) -> Iterator[Difference]:
    before, after = _said_default(old), _said_default(new)
    if before is _UNSAID and after is _UNSAID:
        return
    if _UNSAID in (before, after) or canonical_bytes(before) != canonical_bytes(after):
        shown = ["unsaid" if value is _UNSAID else repr(value) for value in (before, after)]
        yield _said("breaking", where, f"default {shown[0]} is now {shown[1]}")


def _said_default(schema: Any) -> Any:
    return schema.get("default", _UNSAID) if isinstance(schema, Mapping) else _UNSAID


def _badness(differences: Sequence[Difference]) -> tuple[int, int]:
    order = ("none", "additive", "breaking")
    return order.index(highest(differences)), len(differences)


def _same_sort(old: Schema, new: Schema) -> bool:
    return old.get("type") == new.get("type")


def _said(level: Level, where: str, words: str) -> Difference:
    return Difference(level=level, where=where, words=words)
