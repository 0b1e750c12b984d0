"""A node of a JSON Schema, read: what it refers to, its alternatives, its bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backbeat.errors import InvalidData

__all__ = [
    "accepts_anything",
    "alternatives",
    "constraints",
    "json_type",
    "lower_bound",
    "upper_bound",
    "values_of",
    "worded",
]

Schema = Mapping[str, Any]
# what says nothing about which documents are valid
_ANNOTATIONS = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$schema", "$id", "$comment", "$defs", "discriminator"),
}
_LOWER = {"minimum": 0, "exclusiveMinimum": 1}
_UPPER = {"maximum": 0, "exclusiveMaximum": -1}


def alternatives(schema: Any, root: Schema) -> Iterator[Schema]:
    """The schemas of which one must hold; a schema without alternatives is its own only one.

    Raises:
        InvalidData: A reference leads nowhere.
    """
    whole = _resolved(schema, root)
    for keyword in ("anyOf", "oneOf"):
        if keyword in whole:
            rest = {name: value for name, value in whole.items() if name != keyword}
            for option in whole[keyword]:
                found = _resolved(option, root)
                yield from alternatives({**constraints(rest), **found}, root)
            return
    kinds = whole.get("type")
    if isinstance(kinds, list):
        for kind in kinds:
            yield {**whole, "type": kind}
    else:
        yield whole


def constraints(schema: Schema) -> dict[str, Any]:
    """A node without what only describes it."""
    return {name: value for name, value in schema.items() if name not in _ANNOTATIONS}


def accepts_anything(schema: Schema) -> bool:
    """Whether every JSON value is valid."""
    return not constraints(schema)


def values_of(schema: Schema) -> list[Any] | None:
    """The only values that are valid, None where they are not listed."""
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return list(found) if found is not None else None


def lower_bound(schema: Schema) -> tuple[float, int] | None:
    """The smallest number, and 1 where it is itself excluded: the greater, the stricter."""
    bounds = [(schema[name], by) for name, by in _LOWER.items() if name in schema]
    return max(bounds, default=None)


def upper_bound(schema: Schema) -> tuple[float, int] | None:
    """The largest number, and -1 where it is itself excluded: the smaller, the stricter."""
    bounds = [(schema[name], by) for name, by in _UPPER.items() if name in schema]
    return min(bounds, default=None)


def json_type(value: Any) -> str:
    """The JSON Schema type of a value."""
    if value is None:
        return "null"
    for kind, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
    ):
        if isinstance(value, kind):
            return name
    return "object"


def worded(schema: Schema) -> str:
    """What a schema takes, in a few words."""
    values = values_of(schema)
    if values is not None:
        return ", ".join(map(repr, values))
    kind = str(schema.get("type", "anything"))
    named = schema.get("title")
    return f"{named} ({kind})" if named and kind == "object" else kind


def _resolved(schema: Any, root: Schema) -> Schema:
    if schema is True:
        return {}
    if schema is False:
        return {"not": {}}
    seen = []
    while "$ref" in schema:
        pointer = str(schema["$ref"])
        found: Any = root if pointer.startswith("#") else None
        for part in pointer.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or pointer in seen:
            raise InvalidData(
                f"the schema refers to {pointer}, which leads nowhere",
                hint="give a schema that holds all of its definitions in $defs",
            )
        seen.append(pointer)
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**found, **beside}
    return dict(schema)
