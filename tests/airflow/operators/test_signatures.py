"""The operators' signatures are the steps' fields, written out."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from backbeat import DataRef, Dataset
from backbeat.kinds import KINDS, step_class
from backbeat.quality.suite import Suite
from backbeat_provider import operators
from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, JsonFields, Templated

OPERATORS = [getattr(operators, name) for name in operators.__all__]
# what the adapter adds to a step's fields
ADDED = {"deferrable", "follow", "stop_on"}


def _fields(operator: type[StepOperator]) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(operator.__init__).parameters)
    return {
        name: parameter
        for name, parameter in found.items()
        if name not in {"self", "kwargs", *ADDED}
    }


def _as_written(annotation: Any) -> Any:  # noqa: PLR0911 - one line a type
    """A step's type in the words of an operator's signature."""
    if annotation is Dataset:
        return DatasetFields
    if annotation is Suite:
        return JsonFields
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {types.UnionType, typing.Union}:
        if set(arguments) == {DataRef, Dataset}:
            return DatasetFields
        return typing.Union[tuple(_as_written(item) for item in arguments)]  # noqa: UP007
    if origin is tuple:
        return Sequence[_as_written(arguments[0])]  # type: ignore[misc]
    if origin is dict:
        return Mapping[tuple(_as_written(item) for item in arguments)]  # type: ignore[misc]
    return annotation


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_names_types_and_defaults_are_the_steps(operator: type[StepOperator]) -> None:
    """Whatever a step's JSON can say, the operator's signature says by the same name and type."""
    step = step_class(operator.step_kind)
    written = _fields(operator)
    hints = typing.get_type_hints(operator.__init__)
    assert set(written) == set(step.model_fields)
    for name, field in step.model_fields.items():
        parameter = written[name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, name
        optional = field.default_factory is not None and parameter.default is None
        wanted = _as_written(field.annotation)
        if name == "about":  # a version may be another task's output
            wanted = Mapping[str, Any]
        if optional:
            wanted = typing.Optional[wanted]  # noqa: UP045
        assert hints[name] == Templated[wanted], name
        if optional:
            continue
        default = inspect.Parameter.empty if field.default is PydanticUndefined else field.default
        assert parameter.default == default, name


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_field_is_templated(operator: type[StepOperator]) -> None:
    """Every field, and the connection, may be a template."""
    fields = {
        name
        for name in inspect.signature(operator.__init__).parameters
        if name not in {"self", "kwargs", *ADDED}
    }
    assert set(operator.template_fields) == {*fields, "backbeat_conn_id"}


def test_every_kind_has_an_operator() -> None:
    """No step is without a task."""
    assert {operator.step_kind for operator in OPERATORS} == set(KINDS)


def test_a_misspelt_argument_is_refused_at_parse() -> None:
    """Airflow itself refuses what no signature names."""
    with pytest.raises(TypeError, match="refrence"):
        operators.DriftCheckOperator(
            task_id="drift", current="a.parquet", reference="p.json", refrence="p.json"
        )


def test_partial_and_expand_work() -> None:
    """An operator can be mapped over data that is only known at run time."""
    from airflow.sdk import DAG

    with DAG("mapped", schedule=None):
        mapped = operators.DriftCheckOperator.partial(
            task_id="drift", reference="profiles/a.json"
        ).expand(current=["a.parquet", "b.parquet"])
    made = mapped.unmap({"current": "a.parquet"})
    assert made.step_fields()["current"] == "a.parquet"
    assert made.multiple_outputs


def test_partial_refuses_a_misspelt_argument() -> None:
    """The arguments of a mapped operator are checked when the file is parsed."""
    with pytest.raises(TypeError, match="refrence"):
        operators.DriftCheckOperator.partial(task_id="drift", refrence="profiles/a.json")


def test_the_deadlines_type_is_a_length_of_time() -> None:
    """A sign-off without a deadline of its own waits as long as the step says."""
    waiting = operators.SignoffOperator(task_id="signoff", subject="Go?")
    assert waiting.deadline == timedelta(days=3)
