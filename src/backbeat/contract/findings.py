"""What a check finds, in words that name the column, the rule, how many rows, and one of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Checked", "Finding", "Rule"]

ValueRuleName = Literal["null", "minimum", "maximum", "among", "media_type"]
SchemaRuleName = Literal["missing", "repeated", "type", "unit"]
Rule = Literal[SchemaRuleName, ValueRuleName, "unique", "key", "rows"]
_LIMIT = 80


class Finding(BaseModel):
    """One rule that the data does not keep.

    Args:
        column: The column; several for a key, None where it is about the whole table.
        rule: The contract's rule.
        wanted: What the contract says.
        found: What is there instead, in words.
        rows: How many rows break it, None where it is not about single rows.
        example: A value that breaks it, as text; None where there is none to show.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None
    rule: Rule
    wanted: str
    found: str
    rows: int | None = None
    example: str | None = None

    @property
    def words(self) -> str:
        """The finding as two lines of a diff: what was promised, and what is there."""
        subject = f"{self.column}: " if self.column else ""
        example = f", such as {self.example}" if self.example is not None else ""
        return f"- {subject}{self.wanted}\n+ {subject}{self.found}{example}"


class Checked(BaseModel):
    """What a table looks like beside its contract.

    Args:
        contract: Name and version of the contract.
        rows: Rows of the table, None where its columns cannot be told apart.
        findings: What it does not keep; the schema's first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract: str
    rows: int | None
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the contract is kept."""
        return not self.findings


def shown(value: Any) -> str:
    """A value as short text."""
    text = repr(value)
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"
