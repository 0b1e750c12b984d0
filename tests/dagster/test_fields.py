"""Raw fields become a step when everything they refer to is known."""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat import Dataset
from backbeat.errors import InvalidStep
from backbeat.steps import BuildProfile, QualityCheck
from dagster_backbeat.fields import (
    FromAsset,
    When,
    check_literals,
    referenced_assets,
    render,
)

CANDIDATE = dg.AssetKey(["flights", "candidate"])
VALUES = {CANDIDATE: {"version": "3", "uri": "models:/flights/3", "score": 0.1 + 0.2}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("ab{ }"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("xyz"), inner),
)


def _render(fields: Any, partition_key: str | None = "2013-03-10") -> Any:
    return render(fields, partition_key=partition_key, values=VALUES.__getitem__)


def test_the_partition_key_is_filled_in_to_any_depth() -> None:
    """`{{ partition_key }}` may stand anywhere inside nested values."""
    fields = {"data": [{"until": "{{ partition_key }}"}, "x/{{ add_days(partition_key, 1) }}"]}
    assert _render(fields) == {"data": [{"until": "2013-03-10"}, "x/2013-03-11"]}


def test_a_value_keeps_its_type() -> None:
    """A reference gives the value itself; only `text` makes text of it."""
    assert _render(FromAsset(CANDIDATE, "score")) == 0.1 + 0.2
    assert _render({"about": {"version": FromAsset("flights/candidate", "version")}}) == {
        "about": {"version": "3"}
    }
    assert _render(FromAsset(CANDIDATE)) == VALUES[CANDIDATE]
    assert _render(FromAsset(CANDIDATE, "version", text="p/{}.json")) == "p/3.json"


@given(JSON.filter(lambda value: "{{" not in repr(value)))
def test_json_without_templates_stays_as_it_is(value: Any) -> None:
    """What refers to nothing is not touched."""
    assert _render(value, partition_key=None) == value


def test_a_dataset_object_is_taken_as_its_json() -> None:
    """A literal `Dataset` may stand where its JSON may."""
    dataset = Dataset(uri="landing/{day}.parquet", until=date(2013, 3, 10))
    assert Dataset.model_validate(_render(dataset)) == dataset


@pytest.mark.parametrize(
    ("text", "partition_key", "said"),
    [
        ("{{ partition_key }}", None, "a run without partition"),
        ("{{ ds }}", "2013-03-10", "'ds' is undefined"),
        ("{{ add_days(partition_key, 1) }}", "north", "north"),
        ("{{ partition_key", "2013-03-10", "cannot be filled"),
        ("{{ partition_key.__class__.__mro__ }}", "2013-03-10", "cannot be filled"),
    ],
)
def test_a_template_that_leads_nowhere(text: str, partition_key: str | None, said: str) -> None:
    """A template that cannot be filled says so, and no retry is made of it."""
    with pytest.raises(InvalidStep, match="cannot be filled") as caught:
        _render({"output": text}, partition_key)
    assert said in str(caught.value)
    assert "a retry will not help" in str(caught.value)


def test_an_unknown_value_names_its_neighbour() -> None:
    """A slip in a value's name gets the name that was meant."""
    with pytest.raises(InvalidStep, match=r"has no value 'versoin'.*did you mean version\?"):
        _render(FromAsset(CANDIDATE, "versoin"))


def test_references_become_dependencies() -> None:
    """Whatever is referred to, at any depth or as a condition, is listed once."""
    fields = {"a": [FromAsset("x/y", "z")], "b": {"c": FromAsset(CANDIDATE)}}
    condition = When("x/y", "verdict", ("drifted",))
    assert referenced_assets([fields, condition]) == [dg.AssetKey(["x", "y"]), CANDIDATE]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data": "{{ partition_key }}.parquet", "output_key": "p", "bins": 3}, "bins"),
        ({"data": "d.parquet", "output_key": "p", "colour": "red"}, "colour"),
        ({"data": "{{ partition_key }}.parquet"}, "output_key"),
    ],
)
def test_literals_are_validated_when_definitions_load(fields: dict[str, Any], said: str) -> None:
    """A wrong literal, an unknown field and a missing one show before anything runs."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=said):
        check_literals(BuildProfile, fields)


def test_rules_over_several_fields_wait_for_templates() -> None:
    """A rule that a templated field is part of is held against the rendered step, not before."""
    check_literals(QualityCheck, {"data": "d", "suite": FromAsset("suites/schedule")})
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="give either `suite`"):
        check_literals(QualityCheck, {"data": "d", "suite": None})
