"""Literal fields are held against the step's types when the DAG file is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from backbeat.errors import InvalidStep
from backbeat.kinds import step_class, step_from_fields
from backbeat_provider.operators.templated import is_templated

__all__ = ["check_literals"]


def check_literals(kind: str, fields: Mapping[str, Any], *, where: str) -> None:
    """Validate what is known already; what holds a template waits until it is rendered.

    Args:
        kind: The step's versioned kind.
        fields: Values, templates and outputs by the step's field names.
        where: The task, for the message.

    Raises:
        InvalidStep: A literal value does not fit its field, or a field is missing.
    """
    cls = step_class(kind)
    literal = {name: value for name, value in fields.items() if not is_templated(value)}
    try:
        step_from_fields(cls, literal)
    except InvalidStep as error:
        if len(literal) == len(fields):
            raise InvalidStep(f"{where}: {error.message}", hint=error.hint) from error
        problems = _of_literals(error, set(fields) - set(literal))
        if problems:
            raise InvalidStep(
                f"{where}: {kind} does not validate: {'; '.join(problems)}", hint=error.hint
            ) from error


def _of_literals(error: InvalidStep, templated: set[str]) -> list[str]:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return [error.message]
    return [
        f"{'.'.join(map(str, item['loc']))}: {item['msg']} (got {item['input']!r:.80})"
        for item in cause.errors(include_url=False)
        # an error of the whole step may be the templated field's absence
        if item["loc"] and str(item["loc"][0]) not in templated
    ]
