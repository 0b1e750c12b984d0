"""Rules as data: what is wrong is told when they are written, and what they mean is one thing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backbeat import Actor
from backbeat.signoff import Form, People, Rules, Stage

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quorum": 1}, "four_eyes"),
        ({"stages": [{"quorum": 3, "of": ["a", "b", "a"]}]}, "cannot be reached by 2 people"),
        ({"stages": [{"quorum": 0}]}, "greater than or equal to 1"),
        ({"stages": [{"methods": ["anonymous"]}]}, "a door that knows them"),
        ({"stages": [{"methods": ["fax"]}]}, "Input should be"),
        ({"stages": [{"of": ["group:"]}]}, "names nobody"),
        ({"stages": [{"of": ["system:deadline"]}]}, "names nobody"),
        ({"stages": [{"quorum": 1}], "quorum": 2}, "said in the stages"),
        ({"stages": [{"quorum": 1, "vetos": ["a"]}]}, "Extra inputs"),
        ({"stages": [{}], "reminders": [DAY, DAY]}, "one after the other"),
        ({"stages": [{}], "reminders": [DAY], "within": DAY}, "nobody can be told after"),
        (
            {"stages": [{}], "escalation": [{"after": DAY, "to": ["a"], "repeats": 2}]},
            "belong together",
        ),
        ({"stages": [{}], "escalation": [{"after": DAY, "to": []}]}, "at least 1"),
        ({"stages": [{}], "hours": {"time_zone": "Nowhere"}}, "no time zone"),
    ],
)
def test_wrong_rules_are_told(fields: dict[str, Any], message: str) -> None:
    """When they are written, not when the third approver is missing at night."""
    with pytest.raises(ValidationError, match=message):
        Rules.model_validate(fields)


def test_the_simple_form_is_one_stage() -> None:
    """Quorum, approvers and four eyes are sugar."""
    simple = Rules(quorum=2, approvers=("a", "b"), four_eyes=False)
    assert simple.in_order == (Stage(quorum=2, of=("a", "b"), four_eyes=False),)


def test_rules_are_data() -> None:
    """They come back from JSON as they went, and have a JSON Schema."""
    rules = Rules.model_validate(
        {
            "stages": [{"of": ["group:risk"], "veto": ["dora"]}, {"quorum": 2}],
            "hours": {"time_zone": "Europe/Vienna", "holidays": ["2025-12-24"]},
            "reminders": ["PT4H"],
            "escalation": [{"after": "PT8H", "to": ["lead"], "repeats": 1, "every": "PT1H"}],
            "break_glass": {"by": ["cto"]},
        }
    )
    written = json.loads(rules.model_dump_json())
    assert Rules.model_validate(written) == rules
    schema = Rules.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert rules.quorum == 3


FIELDS: dict[str, dict[str, Any]] = {
    "text": {"type": "string", "minLength": 1, "maxLength": 5},
    "one": {"type": "string", "enum": ["a", "b"]},
    "number": {"type": "number", "minimum": -1, "maximum": 2.5},
    "whole": {"type": "integer"},
    "sure": {"type": "boolean"},
    "some": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}, "uniqueItems": True},
}
ANSWERS = st.dictionaries(
    st.sampled_from([*FIELDS, "other"]),
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-3, 3)
    | st.text(max_size=6)
    | st.sampled_from(["a", "b"])
    | st.lists(st.sampled_from(["x", "y", "z", 1]), max_size=3),
)


@given(ANSWERS)
def test_answers_are_checked_as_json_schema_says(answers: dict[str, Any]) -> None:
    """The same answers are right and wrong as for a validator of the whole standard."""
    fields = {n: {k: v for k, v in f.items() if k != "uniqueItems"} for n, f in FIELDS.items()}
    form = Form.model_validate({"properties": fields, "required": ["whole"]})
    schema = {
        "type": "object",
        "properties": FIELDS,
        "required": ["whole"],
        "additionalProperties": False,
    }
    right = jsonschema.Draft202012Validator(schema).is_valid(answers)
    assert (form.wrong(answers, whole=True) is None) == right


def test_people_are_one_behind_every_door() -> None:
    """Spelling makes no second person, and a door that is not mapped calls people by its id."""
    people = People.model_validate(
        {
            "identities": {"slack:U1": "ana", "oidc:Ana@Example.org": "ana"},
            "groups": {"desk": ["ANA"]},
            "roles": {"owner": ["ana"]},
        }
    )
    doors = [("slack", "u1"), ("oidc", "ana@example.ORG "), ("cli", "Ana")]
    found = [people.person(Actor(id=name, method=method)) for method, name in doors]  # type: ignore[arg-type]
    assert {one.key for one in found} == {"ana"}
    assert {one.member_of for one in found} == {frozenset({"group:desk", "role:owner"})}
    assert people.person(Actor(id="U1", method="airflow")).key == "u1"


@pytest.mark.parametrize(
    "fields",
    [
        {"identities": {"U1": "ana"}},
        {"identities": {"fax:1": "ana"}},
        {"identities": {"slack:U1": "system:deadline"}},
        {"groups": {"all": ["group:desk"]}},
        {
            "delegations": [
                {
                    "delegator": "a",
                    "delegate": "b",
                    "starts": "2025-01-02T00:00:00Z",
                    "ends": "2025-01-01T00:00:00Z",
                }
            ]
        },
        {
            "delegations": [
                {
                    "delegator": "a",
                    "delegate": "b",
                    "starts": "2025-01-01T00:00:00",
                    "ends": "2025-01-02T00:00:00",
                }
            ]
        },
    ],
)
def test_a_wrong_directory_is_told(fields: dict[str, Any]) -> None:
    """A door without a method, a group in a group, a delegation without a zone."""
    with pytest.raises(ValidationError):
        People.model_validate(fields)
