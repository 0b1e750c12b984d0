"""What the decorators share: a function of the team's own, called as Airflow calls one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.definitions.context import context_merge

try:
    from airflow.sdk.bases.decorator import determine_kwargs
except ImportError:  # Airflow 3.1
    from airflow.utils.operator_helpers import determine_kwargs

__all__ = ["called", "own_fields"]

_ARGUMENTS = frozenset({"op_args", "op_kwargs"})


def called(operator: Any, context: Mapping[str, Any]) -> Any:
    """What a decorated task's function returns, given its arguments and what it asks for.

    Args:
        operator: The decorated operator, its templates rendered.
        context: The task's context.
    """
    merged = dict(context)
    context_merge(merged, operator.op_kwargs)
    arguments = determine_kwargs(operator.python_callable, operator.op_args, merged)
    return operator.python_callable(*operator.op_args, **arguments)


def own_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A step's fields; the function's arguments are not among them."""
    return {name: value for name, value in fields.items() if name not in _ARGUMENTS}
