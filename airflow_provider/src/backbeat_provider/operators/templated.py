"""What an operator's argument may be: the value itself, a template, or another task's output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union

from airflow.sdk import XComArg

__all__ = ["DatasetFields", "JsonFields", "Templated", "is_templated"]

T = TypeVar("T")

# a Union and not `T | str`: the name of a forward type variable cannot take part in `|`
Templated = Union[T, str, XComArg]  # noqa: UP007

# the fields of `backbeat.Dataset`, or only its URI
DatasetFields = str | Mapping[str, Any]
JsonFields = Mapping[str, Any] | Sequence[Any]


def is_templated(value: Any) -> bool:
    """Whether a value, or anything inside it, is only known when the task runs."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(is_templated(item) for item in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(is_templated(item) for item in value)
    # outputs of tasks, mapped arguments, values that are set during the execution
    return type(value).__module__.partition(".")[0] == "airflow"
