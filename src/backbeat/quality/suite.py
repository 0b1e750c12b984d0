"""A suite of expectations as data, and its translation into Great Expectations' own objects."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from backbeat.canonical import canonical_bytes
from backbeat.errors import InvalidStep

__all__ = ["INDEX_KEY", "Expectation", "Severity", "Suite", "gx_expectations"]

Severity = Literal["critical", "warning", "info"]

# Great Expectations returns results in its own order; this key in `meta` tells which is which
INDEX_KEY = "backbeat_index"

# what Great Expectations notes in its own files, and which says nothing about data
_NOTES = frozenset({"id", "meta", "notes", "rendered_content"})
# what older suites carry in their arguments, and what the check itself decides
_RUN_TIME_ARGUMENTS = frozenset({"result_format", "catch_exceptions", "batch_id"})
_UNNAMED = "unnamed"


class Expectation(BaseModel):
    """One expectation, in the words of a Great Expectations suite file.

    The ids and notes of such a file are left out: they say nothing about data.

    Args:
        type: Name in Great Expectations' registry, such as `expect_column_values_to_not_be_null`.
        kwargs: Its arguments, JSON.
        severity: How bad a failure is: `critical`, `warning` or `info`.
        description: A sentence for people; empty for one made from type and arguments.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(min_length=1)
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    severity: Severity = "critical"
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _as_saved(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        fields = {
            name: value
            for name, value in given.items()
            if name not in _NOTES and not (name in {"severity", "description"} and value is None)
        }
        if isinstance(fields.get("kwargs"), Mapping):
            arguments = fields["kwargs"].items()
            fields["kwargs"] = {
                name: value for name, value in arguments if name not in _RUN_TIME_ARGUMENTS
            }
        return fields

    @field_validator("kwargs")
    @classmethod
    def _is_json(cls, kwargs: dict[str, JsonValue]) -> dict[str, JsonValue]:
        canonical_bytes(kwargs)
        return kwargs

    @property
    def column(self) -> str | None:
        """The one column that it is about; None for a table or several columns."""
        column = self.kwargs.get("column")
        return column if isinstance(column, str) else None

    @property
    def sentence(self) -> str:
        """What is expected, as one sentence for people."""
        if self.description:
            return self.description
        words = self.type.removeprefix("expect_").replace("_", " ").replace(" to ", " must ", 1)
        arguments = ", ".join(f"{name} {_spoken(value)}" for name, value in self.kwargs.items())
        return words[:1].upper() + words[1:] + (f" ({arguments})." if arguments else ".")


class Suite(BaseModel):
    """A named list of expectations.

    `Suite.model_validate` reads the JSON form: `{"name": "flights", "expectations": [{"type":
    "expect_column_values_to_be_between", "kwargs": {"column": "distance", "min_value": 0}}]}`.
    It also reads a suite's file as Great Expectations saves it, and a bare list of expectations,
    whose suite is called `unnamed`.

    Args:
        name: What results and lineage call it.
        expectations: At least one; a suite without any would pass whatever it is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    expectations: tuple[Expectation, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _as_saved(cls, given: Any) -> Any:
        if isinstance(given, (list, tuple)):
            return {"name": _UNNAMED, "expectations": given}
        if isinstance(given, Mapping):
            return {name: value for name, value in given.items() if name not in _NOTES}
        return given


def gx_expectations(suite: Suite) -> list[Any]:
    """The suite as Great Expectations' own objects, in the suite's order.

    Args:
        suite: The suite.

    Returns:
        One `great_expectations.expectations.Expectation` each, numbered in its `meta`.

    Raises:
        InvalidStep: A type that Great Expectations does not know, or arguments that the type does
            not take; it names the expectation. A retry does not help.
    """
    return [
        _gx_expectation(expectation, place=place, suite=suite.name)
        for place, expectation in enumerate(suite.expectations)
    ]


def _gx_expectation(expectation: Expectation, *, place: int, suite: str) -> Any:
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation import Expectation as GxExpectation
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    where = f"Expectation {place + 1} of suite {suite!r}"
    try:
        kind = get_expectation_impl(expectation.type)
    except ExpectationNotFoundError as error:
        known = list_registered_expectation_implementations()
        raise InvalidStep(
            f"{where} has the type {expectation.type!r}, which Great Expectations does not know.",
            hint=_did_you_mean(expectation.type, known)
            or "Look its name up in the Expectation Gallery; a custom one must be imported first.",
        ) from error

    base = set(GxExpectation.__fields__)
    own = sorted(set(kind.__fields__) - base - {"batch_id", "windows"})
    foreign = sorted(set(expectation.kwargs) - set(own))
    if foreign:
        raise InvalidStep(
            f"{where}, {expectation.type}, does not take {', '.join(map(repr, foreign))}.",
            hint=_did_you_mean(foreign[0], own) or f"It takes {', '.join(own)}.",
        )
    settings: dict[str, Any] = {"meta": {INDEX_KEY: place}}
    if "severity" in base:  # newer than Great Expectations 1.5
        settings["severity"] = expectation.severity
    try:
        return kind(**expectation.kwargs, **settings)
    except (ValueError, TypeError) as error:  # pydantic's own, of whichever version it carries
        raise InvalidStep(
            f"{where}, {expectation.type}, does not accept its arguments: {_reasons(error)}.",
            hint=f"It takes {', '.join(own)}.",
        ) from error


def _did_you_mean(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=3)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else ""


def _reasons(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    reasons = {
        ": ".join([*(str(part) for part in item["loc"] if part != "__root__"), item["msg"]]): None
        for item in errors()
    }
    return "; ".join(reasons)


def _spoken(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_bytes(value).decode()
    longest = 80
    return text if len(text) <= longest else text[: longest - 1] + "…"
