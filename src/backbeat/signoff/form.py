"""What a voter fills in: a flat form as JSON Schema, whose answers are checked at the vote.

The schema is a part of JSON Schema 2020-12 that every form renderer knows: an object of scalars and
lists of choices. There are no references, patterns or expressions, so nothing in a form can be slow
or run; every text has a longest length, said or by default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from backbeat.signoff.text import Frozen, Line, Name, Paragraph

__all__ = ["Form", "FormField"]

_LONGEST = 10_000
Scalar = Literal["string", "number", "integer", "boolean"]


class Choices(Frozen):
    """What the items of a list are chosen from."""

    enum: tuple[Line, ...] = Field(min_length=1, max_length=200)
    type: Literal["string"] = "string"


class FormField(Frozen):
    """One field, as a JSON Schema.

    Args:
        type: `string`, `number`, `integer`, `boolean`, or `array` of choices.
        title: Its label.
        description: What is to be filled in.
        enum: The texts to choose from.
        minLength: Fewest characters.
        maxLength: Most characters.
        minimum: Least number.
        maximum: Greatest number.
        items: What a list's items are chosen from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Scalar | Literal["array"]
    title: Line = ""
    description: Paragraph = ""
    enum: tuple[Line, ...] = Field(default=(), max_length=200)
    minLength: int = Field(default=0, ge=0)  # noqa: N815 - JSON Schema's names
    maxLength: int = Field(default=_LONGEST, ge=0, le=_LONGEST)  # noqa: N815
    minimum: float | None = Field(default=None, allow_inf_nan=False)
    maximum: float | None = Field(default=None, allow_inf_nan=False)
    items: Choices | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> FormField:
        lengths = (self.minLength, self.maxLength) != (0, _LONGEST)
        if (self.enum or lengths) and self.type != "string":
            raise ValueError("enum, minLength and maxLength are for a string")
        bounds = (self.minimum, self.maximum) != (None, None)
        if bounds and self.type not in {"number", "integer"}:
            raise ValueError("minimum and maximum are for a number")
        if (self.items is not None) != (self.type == "array"):
            raise ValueError("an array says its items, and nothing else does")
        if self.minLength > self.maxLength:
            raise ValueError("minLength is not above maxLength")
        if None not in {self.minimum, self.maximum} and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError("minimum is not above maximum")
        return self

    def wrong(self, value: Any) -> str | None:  # noqa: PLR0911 - one line a rule
        """What is wrong with an answer; None where nothing is."""
        if self.type == "array":
            assert self.items is not None  # noqa: S101 - the validator has seen to it
            if not isinstance(value, list) or any(one not in self.items.enum for one in value):
                return f"takes a list of {', '.join(self.items.enum)}"
            return None if len(set(value)) == len(value) else "names the same twice"
        if self.type == "boolean":
            return None if isinstance(value, bool) else "takes true or false"
        if self.type == "string":
            if not isinstance(value, str):
                return "takes a text"
            if self.enum and value not in self.enum:
                return f"takes one of {', '.join(self.enum)}"
            if not self.minLength <= len(value) <= self.maxLength:
                return f"takes {self.minLength} to {self.maxLength} characters"
            return None
        return self._wrong_number(value)

    def _wrong_number(self, value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"takes a {self.type}"
        if not math.isfinite(value):
            return "takes a finite number"
        if self.type == "integer" and value != int(value):
            return "takes a whole number"
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            return f"takes {'any' if low is None else low} to {'any' if high is None else high}"
        return None


class Form(Frozen):
    """An object of fields, as a JSON Schema.

    Args:
        type: `object`.
        properties: The fields by name.
        required: Those that an approval must fill in; a rejection may leave everything empty.
        additionalProperties: False: an answer that nobody asked for is refused.
    """

    type: Literal["object"] = "object"
    properties: Mapping[Name, FormField] = Field(min_length=1, max_length=100)
    required: tuple[Name, ...] = ()
    additionalProperties: Literal[False] = False  # noqa: N815 - JSON Schema's name

    @model_validator(mode="after")
    def _about_its_fields(self) -> Form:
        unknown = set(self.required) - set(self.properties)
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))} is required and is no field")
        return self

    def wrong(self, answers: Mapping[str, Any], *, whole: bool) -> str | None:
        """What is wrong with the answers; None where nothing is.

        Args:
            answers: By the fields' names.
            whole: Whether the required ones must be there.
        """
        for name, value in answers.items():
            field = self.properties.get(name)
            if field is None:
                return f"{name[:80]!r} is no field of the form"
            wrong = field.wrong(value)
            if wrong:
                return f"{name!r} {wrong}"
        missing = [name for name in self.required if name not in answers]
        if whole and missing:
            return f"{missing[0]!r} is not filled in"
        return None
