"""What people say about a monitor's columns and batches: append-only, each with who, when, why."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from backbeat.canonical import canonical_bytes, digest
from backbeat.errors import InvalidData
from backbeat.identity import Actor

__all__ = [
    "Acknowledgement",
    "Mark",
    "Mute",
    "day_of",
    "mark_bytes",
    "mark_id",
    "muted",
    "read_mark",
]

_DAY = len("2013-01-05")


class _Mark(BaseModel):
    # a field that a later version adds is no reason to forget what a person has said
    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal["backbeat.mark"] = "backbeat.mark"
    version: Literal[1] = 1
    reason: str = Field(min_length=1, max_length=2000)
    by: Actor
    at: datetime


class Mute(_Mark):
    """A column raises no alarm, up to and including the batch of a day.

    Args:
        column: The column.
        until: The last day on which it is muted. The newest mute of a column is the one that
            counts, so an earlier day ends it.
        reason: Why, in a person's words.
        by: Who says so.
        at: When it was said, UTC.
    """

    kind: Literal["mute"] = "mute"
    column: str = Field(min_length=1)
    until: date


class Acknowledgement(_Mark):
    """What was found in a batch is as it should be: it is ordinary from now on.

    Args:
        partition: The batch.
        reason: Why, in a person's words.
        by: Who says so.
        at: When it was said, UTC.
    """

    kind: Literal["acknowledge"] = "acknowledge"
    partition: str = Field(min_length=1)


Mark = Mute | Acknowledgement
_MARKS: TypeAdapter[Mark] = TypeAdapter(Annotated[Mark, Field(discriminator="kind")])


def mark_bytes(mark: Mark) -> bytes:
    """A mark as canonical JSON."""
    return canonical_bytes(mark.model_dump(mode="json"))


def read_mark(content: bytes) -> Mark:
    """Read a mark back.

    Raises:
        InvalidData: The bytes are truncated or no mark; a retry does not help.
    """
    try:
        return _MARKS.validate_python(json.loads(content))
    except (ValueError, ValidationError) as error:
        raise InvalidData("this is no mark of a monitor", hint="make the mark again") from error


def mark_id(mark: Mark) -> str:
    """A name that sorts by time; the same mark has the same one."""
    at = mark.at.astimezone(UTC)
    return f"{at:%Y%m%dT%H%M%S%fZ}-{digest(mark.model_dump(mode='json'))[7:19]}"


def muted(marks: Iterable[Mark], partition: str, *, today: date | None = None) -> dict[str, str]:
    """The columns that are muted for a batch, each with the last day of its mute.

    Args:
        marks: The monitor's marks, the oldest first.
        partition: The batch; where its name begins with no ISO day, `today` counts.
        today: None for the current day, UTC.
    """
    day = day_of(partition) or today or datetime.now(UTC).date()
    newest = {mark.column: mark.until for mark in marks if isinstance(mark, Mute)}
    return {column: until.isoformat() for column, until in newest.items() if day <= until}


def day_of(partition: str) -> date | None:
    """The ISO day that a partition's name begins with, None where it begins with none."""
    try:
        return date.fromisoformat(partition[:_DAY]) if len(partition) >= _DAY else None
    except ValueError:
        return None
