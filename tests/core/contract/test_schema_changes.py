from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from backbeat.contract import compare
from backbeat.kinds import KINDS, step_class

SCORING = step_class("inference.batch/v1").model_json_schema()

SCALARS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "minLength": 1},
    {"type": "string", "maxLength": 2, "pattern": "^a"},
    {"type": "integer"},
    {"type": "integer", "minimum": 0, "maximum": 3},
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "number", "minimum": 0, "exclusiveMaximum": 3},
    {"type": ["integer", "null"]},
    {"type": "null"},
    {"type": "boolean"},
    {"enum": ["a", "b"]},
    {"enum": ["a", 1, None]},
    {"const": "b"},
    {"$ref": "#/$defs/Day"},
    {},
]
NODES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.builds(lambda items: {"anyOf": items}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least},
            inner,
            st.integers(0, 2),
        )
        | st.builds(lambda items: {"type": "object", "additionalProperties": items}, inner)
    ),
    max_leaves=4,
)
VALUES: list[Any] = [None, True, 0, 1, 3, 4, -1, 0.5, 2.0, 3.5, "", "a", "ab", "abc", "b", "c"]
PLACES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "field": (lambda node: node, lambda value: value),
    "items": (lambda node: {"type": "array", "items": node}, lambda value: [value]),
    "open": (
        lambda node: {"type": "object", "additionalProperties": node},
        lambda value: {"x": value},
    ),
    "either": (lambda node: {"anyOf": [node, {"type": "boolean"}]}, lambda value: value),
    "place": (
        lambda node: {"type": "array", "prefixItems": [node], "maxItems": 1},
        lambda value: [value],
    ),
}


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A closed object of up to three fields, some of which are required."""
    properties = draw(st.dictionaries(st.sampled_from("abc"), NODES))
    required = draw(st.lists(st.sampled_from("abc"), unique=True).map(sorted))
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in required if name in properties],
        "additionalProperties": False,
        "$defs": {"Day": draw(st.sampled_from([{"type": "string"}, {"type": "integer"}]))},
    }


@given(schemas())
def test_a_schema_has_not_changed_from_itself(schema: dict[str, Any]) -> None:
    """The same schema, described otherwise, is no change."""
    described = {**copy.deepcopy(schema), "title": "Other", "description": "Other words."}
    assert compare(schema, described).level == "none"


@given(schemas(), NODES)
def test_an_optional_field_more_is_additive(schema: dict[str, Any], node: dict[str, Any]) -> None:
    """Whoever does not know the field writes as before; without it again, who does is broken."""
    more = copy.deepcopy(schema)
    more["properties"]["more"] = {**node, "default": None}
    assert compare(schema, more).level == "additive"
    assert compare(more, schema).level == "breaking"
    more["required"] = [*schema["required"], "more"]
    assert compare(schema, more).level == "breaking"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("old", SCALARS, ids=json.dumps)
def test_what_was_valid_is_valid_unless_the_change_is_breaking(
    old: dict[str, Any], place: str
) -> None:
    """No document, says jsonschema, is lost by a change that is not called breaking."""
    around, inside = PLACES[place]
    before = _closed({"a": around(old)})
    documents = [{"a": inside(value)} for value in VALUES]
    known = [document for document in documents if _validator(before).is_valid(document)]
    for new in SCALARS:
        after = _closed({"a": around(new)})
        lost = [document for document in known if not _validator(after).is_valid(document)]
        assert not lost or compare(before, after).level == "breaking", new


@pytest.mark.parametrize(("old", "new"), list(itertools.product(("", "a", "ab", "abc"), repeat=2)))
def test_a_field_that_is_demanded(old: str, new: str) -> None:
    """Jsonschema agrees on required fields: added, dropped, or of fields that were not there."""
    properties = {"a": {"type": "string"}, "b": {"type": "string"}}
    before = {**_closed(properties), "required": list(old), "additionalProperties": True}
    after = {**before, "required": list(new)}
    for size in range(4):
        for names in itertools.combinations("abc", size):
            document = dict.fromkeys(names, "x")
            lost = _validator(before).is_valid(document) > _validator(after).is_valid(document)
            assert not lost or compare(before, after).level == "breaking"


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": {"Day": {"type": "string", "maxLength": 1}},
    }


def _validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema)


@given(schemas(), schemas())
def test_the_whole_is_as_bad_as_its_worst_difference(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    """Breaking where any difference is breaking, none where there is no difference."""
    change = compare(old, new)
    assert (change.level == "breaking") == any(
        item.level == "breaking" for item in change.differences
    )
    assert (change.level == "none") == (not change.differences)


class Window(BaseModel):
    model_config = ConfigDict(extra="forbid")
    days: int = Field(default=1, ge=1, le=30)
    inside: Window | None = None


class Old(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1)
    mode: Literal["block", "report"] = "block"
    window: Window
    share: float = Field(default=0.5, gt=0, lt=1)
    columns: tuple[str, ...] | None = None
    by_name: dict[str, Window] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("fields", "level", "where", "words"),
    [
        ({"extra": (str, ...)}, "breaking", "extra", "required field added"),
        ({"extra": (str, "x")}, "additive", "extra", "optional field added"),
        ({"extra": (str | None, None)}, "additive", "extra", "optional field added"),
        ({"name": None}, "breaking", "name", "field removed"),
        ({"columns": None}, "breaking", "columns", "field removed"),
        ({"name": (str, ...)}, "additive", "name", "minLength 1 is gone"),
        ({"name": (str, Field(min_length=2))}, "breaking", "name", "minLength 1 is now 2"),
        ({"name": (str, Field(default="a", min_length=1))}, "additive", "name", "optional"),
        ({"name": (int, ...)}, "breaking", "name", "takes integer instead of string"),
        ({"mode": (Literal["block"], "block")}, "breaking", "mode", "no longer takes 'report'"),
        (
            {"mode": (Literal["block", "report", "warn"], "block")},
            "additive",
            "mode",
            "also takes 'warn'",
        ),
        ({"mode": (str, "block")}, "additive", "mode", "takes string instead of"),
        ({"mode": (Literal["block", "report"], "report")}, "breaking", "mode", "default 'block'"),
        ({"mode": (Literal["block", "report"], ...)}, "breaking", "mode", "is now required"),
        ({"share": (float, Field(0.5, ge=0, lt=1))}, "additive", "share", "(itself excluded) is"),
        ({"share": (float, Field(0.5, gt=0, lt=0.9))}, "breaking", "share", "largest value 1"),
        ({"columns": (tuple[str, ...] | str | None, None)}, "additive", "columns", "also takes"),
        ({"columns": (tuple[str, ...], None)}, "breaking", "columns", "no longer takes null"),
        ({"columns": (tuple[int, ...] | None, None)}, "breaking", "columns[]", "takes integer"),
        ({"by_name": (dict[str, int], Field(default_factory=dict))}, "breaking", "by_name{}", ""),
        ({"window": (Any, ...)}, "additive", "window", "takes anything"),
    ],
)
def test_who_writes_a_step(fields: dict[str, Any], level: str, where: str, words: str) -> None:
    """Each way in which a pydantic model can change, and what it does to older documents."""
    kept = {name: (field.annotation, field) for name, field in Old.model_fields.items()}
    changed = {name: value for name, value in {**kept, **fields}.items() if value is not None}
    new = _model(changed)
    change = compare(Old.model_json_schema(), new)
    (found,) = change.differences

    assert (change.level, found.level, found.where) == (level, level, where)
    assert words in found.words


def _model(fields: dict[str, Any]) -> dict[str, Any]:
    from pydantic import create_model

    made = create_model("Old", __config__=ConfigDict(extra="forbid"), **fields)
    return made.model_json_schema()


def test_a_change_deep_inside_is_found_where_it_is() -> None:
    """A definition that is used in two places changes in both, and one inside itself ends."""
    new = copy.deepcopy(Old.model_json_schema())
    new["$defs"]["Window"]["properties"]["days"]["maximum"] = 7
    places = {item.where for item in compare(Old.model_json_schema(), new).differences}
    assert {"window.days", "by_name{}.days"} < places
    assert all(place.endswith("days") for place in places)


def test_an_unknown_keyword_breaks_when_it_changes() -> None:
    """What is not understood is not waved through."""
    old = {"properties": {"a": {"type": "array", "contains": {"type": "string"}}}}
    new = {"properties": {"a": {"type": "array", "contains": {"type": "integer"}}}}
    assert compare(old, old).level == "none"
    assert compare(old, new).level == "breaking"


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_equal_to_itself(kind: str) -> None:
    """Each published schema is understood, whether it names its kind or not."""
    schema = step_class(kind).model_json_schema()
    named = {
        **schema,
        "properties": {"kind": {"const": kind}, **schema["properties"]},
        "required": ["kind", *schema.get("required", [])],
    }
    assert compare(schema, copy.deepcopy(schema)).level == "none"
    assert compare(named, schema).level == compare(schema, named).level == "none"


def test_another_kind_is_another_step() -> None:
    """A document that names the old version is no longer taken by the new one."""
    named = [
        {**SCORING, "properties": {"kind": {"const": f"inference.batch/{version}"}}}
        for version in ("v1", "v2")
    ]
    assert compare(*named).level == "breaking"
