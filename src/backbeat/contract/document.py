"""A data contract as a document: JSON that people write, diff and keep beside their code."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from backbeat.canonical import digest
from backbeat.contract.media import MEDIA_NAME, one_name
from backbeat.errors import InvalidData

__all__ = ["Column", "DataContract", "RowCount", "Type", "contract_from_json"]

Integer = Literal["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
Floating = Literal["float16", "float32", "float64"]
Temporal = Literal["date", "time", "timestamp", "timestamp_tz", "duration"]
Type = Literal["bool", Integer, Floating, "decimal", "string", "binary", Temporal, "nested", "null"]
_INTEGERS, _FLOATS = get_args(Integer), get_args(Floating)
_SAFE = 2**53 - 1

# beyond these a number is not the same number for every reader of JSON
_Whole = Annotated[StrictInt, Field(ge=-_SAFE, le=_SAFE)]
_Number = _Whole | StrictFloat


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(_Frozen):
    """One column that readers rely on.

    Args:
        name: The column's name.
        type: How its values are to be understood, whatever their layout: `string` is any text,
            dictionary-encoded or not; `timestamp_tz` is a moment, `timestamp` a wall clock's
            reading; `nested` is any list, struct or map.
        nullable: Whether values may be missing.
        unit: What one is, such as `minutes` or `USD`; the Arrow field's metadata `unit` must agree
            where it says one.
        minimum: Smallest value, of numbers only; NaN is not above it.
        maximum: Largest value.
        among: All values that there may be, of texts, numbers and booleans.
        unique: Whether a value comes once only; missing ones are not compared.
        media_type: What each value of a binary column is, such as `image/png`; the Arrow field's
            metadata `media_type` must agree where it says one, and so must the first bytes of every
            value of a type whose signature is known.
    """

    name: str = Field(min_length=1)
    type: Type
    nullable: bool = True
    unit: str | None = Field(default=None, min_length=1)
    minimum: _Number | None = None
    maximum: _Number | None = None
    among: tuple[StrictBool | _Number | StrictStr, ...] | None = Field(default=None, min_length=1)
    unique: bool = False
    media_type: str | None = Field(default=None, pattern=MEDIA_NAME.pattern)

    @field_validator("media_type")
    @classmethod
    def _usual_name(cls, media_type: str | None) -> str | None:
        return None if media_type is None else one_name(media_type)

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> Column:
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        if bounds and not self.is_number:
            raise ValueError(f"{self.name} is {self.type}, and only numbers have a range")
        if sorted(bounds) != bounds:
            raise ValueError(f"{self.name} has a minimum above its maximum: no value could be")
        if self.unique and self.type == "nested":
            raise ValueError(f"{self.name} is nested, and nested values are not compared")
        if self.media_type is not None and self.type != "binary":
            raise ValueError(f"{self.name} is {self.type}, and only bytes have a media type")
        for value in self.among or ():
            if not self._can_be(value):
                raise ValueError(
                    f"{self.name} is {self.type}: {value!r} cannot be among its values"
                )
        return self

    @property
    def is_number(self) -> bool:
        """Whether its values have a range."""
        return self.type in {*_INTEGERS, *_FLOATS, "decimal"}

    def _can_be(self, value: bool | float | str) -> bool:
        if isinstance(value, bool):
            return self.type == "bool"
        if isinstance(value, str):
            return self.type == "string"
        if self.type not in _INTEGERS:
            return self.type in _FLOATS
        bits = int(self.type.lstrip("uint"))
        low, high = (0, 2**bits) if self.type[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        return isinstance(value, int) and low <= value < high


class RowCount(_Frozen):
    """How many rows there may be.

    Args:
        minimum: At least so many.
        maximum: At most so many; None for no limit.
    """

    minimum: int = Field(default=0, ge=0)
    maximum: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _some_number_is_left(self) -> RowCount:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError("the minimum of rows is above their maximum")
        return self


class DataContract(_Frozen):
    """What a producer promises of a table, and a reader may rely on.

    Columns that it does not name may be there, and nothing is said about them.

    Args:
        format: This document's own version.
        name: What is promised about, such as `flights`.
        version: Semantic version (semver.org): a breaking change raises the first number, an
            additive one the second.
        columns: The columns that readers rely on.
        rows: How many rows there may be; any number where None.
        key: Columns that together tell one row from every other; none of them may be nullable.
    """

    format: Literal["backbeat.contract/v1"] = "backbeat.contract/v1"
    name: str = Field(min_length=1)
    version: str = Field(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")
    columns: tuple[Column, ...]
    rows: RowCount | None = None
    key: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_of_a_piece(self) -> DataContract:
        if not self.columns:
            raise ValueError("it names no column, and so promises nothing")
        names = Counter(column.name for column in self.columns)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"the column {twice[0]} is declared more than once")
        if len(set(self.key)) < len(self.key):
            raise ValueError("the key names a column more than once")
        for name in self.key:
            column = self.column(name)
            if column is None:
                raise ValueError(f"the key names the column {name}, which is not declared")
            if column.nullable or column.type == "nested":
                raise ValueError(f"the key column {name} may be neither nullable nor nested")
        return self

    def column(self, name: str) -> Column | None:
        """A column by its name, None where it is not declared."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def title(self) -> str:
        """What people call it: name and version."""
        return f"{self.name} {self.version}"

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The version as three numbers."""
        major, minor, patch = map(int, self.version.split("."))
        return major, minor, patch

    def to_json(self) -> dict[str, Any]:
        """The contract as it is written to a file, without what is left at its default."""
        return {"format": self.format, **self.model_dump(mode="json", exclude_defaults=True)}

    def digest(self) -> str:
        """`sha256:<hex>` of what it says, however its file is laid out."""
        return digest(self.to_json())


def contract_from_json(document: Mapping[str, Any] | bytes | str, *, what: str) -> DataContract:
    """Read a contract from its JSON.

    Args:
        document: The JSON, parsed or not.
        what: Where it comes from, for the message, e.g. `contracts/flights.json`.

    Raises:
        InvalidData: It is not JSON, or no contract; says which field is wrong.
    """
    if not isinstance(document, Mapping):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise InvalidData(
                f"{what} is not JSON: {error}",
                hint="write it with `backbeat contract infer DATA`, then tighten it",
            ) from error
    try:
        return DataContract.model_validate(document)
    except ValidationError as error:
        raise _explained(what, error) from error


def _explained(what: str, error: ValidationError) -> InvalidData:
    problems = []
    hint = "see docs/schemas/DataContract-v1.json for what a contract can say"
    for item in error.errors(include_url=False)[:5]:
        place = ".".join(str(part) for part in item["loc"]) or "the contract"
        near: list[str] = []
        if item["type"] == "extra_forbidden":
            known = Column if "columns" in item["loc"] else DataContract
            near = difflib.get_close_matches(str(item["loc"][-1]), known.model_fields, n=1)
            problems.append(f"{place} is no field of a contract")
        elif item["type"] == "literal_error" and isinstance(item["input"], str):
            near = difflib.get_close_matches(item["input"], get_args(Type), n=1, cutoff=0.4)
            problems.append(f"{place}: {item['msg']} (got {item['input'][:80]!r})")
        else:
            problems.append(f"{place}: {item['msg'].removeprefix('Value error, ')}")
        if near:
            hint = f"did you mean {near[0]}?"
    return InvalidData(f"{what} is no data contract: {'; '.join(problems)}", hint=hint)
