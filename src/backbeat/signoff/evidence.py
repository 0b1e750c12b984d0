"""Evidence that people can read: typed facts, links, tables, pictures; and its one digest."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from backbeat.signoff.text import Frozen, Line, Name, Paragraph

__all__ = ["Evidence", "Fact", "Link", "Picture", "Table"]

Number = Annotated[float, Field(allow_inf_nan=False)]
Value = bool | int | Number | Annotated[str, StringConstraints(max_length=4000)] | None
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_MOST_CELLS = 20_000


class Fact(Frozen):
    """One thing that is known.

    Args:
        name: What it is about.
        value: What it is; a number stays a number. NaN and infinities have no JSON form.
        unit: Such as `EUR` or `%`.
        note: What a reader needs to judge it.
    """

    name: Name
    value: Value
    unit: Line = ""
    note: Paragraph = ""


class Link(Frozen):
    """Where there is more to see.

    Args:
        title: What it leads to.
        url: `http://` or `https://`; anything else could run when it is clicked.
        digest: Of what stands there, where it must not change.
    """

    title: Line
    url: Annotated[str, StringConstraints(max_length=2000)]
    digest: Digest | None = None

    @field_validator("url")
    @classmethod
    def _leads_to_a_page(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.password:
            raise ValueError("a link is http://… or https://… with a host, and without a password")
        return value


class Table(Frozen):
    """Rows of values under the names of their columns."""

    title: Line
    columns: tuple[Name, ...] = Field(min_length=1, max_length=100)
    rows: tuple[tuple[Value, ...], ...] = ()

    @model_validator(mode="after")
    def _rectangular(self) -> Table:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row of {self.title!r} has {len(self.columns)} values")
        if len(self.rows) * len(self.columns) > _MOST_CELLS:
            raise ValueError(f"a table holds at most {_MOST_CELLS} values: link to a longer one")
        return self


class Picture(Frozen):
    """A picture, by the digest of its bytes.

    Args:
        title: What it shows, for who cannot see it.
        digest: `sha256:<hex>` of the bytes.
        media_type: An SVG can carry a script: it is not among them.
        key: Where the store keeps it.
    """

    title: Line
    digest: Digest
    media_type: Annotated[str, StringConstraints(pattern=r"^image/(png|jpeg|webp|gif)$")]
    key: Annotated[str, StringConstraints(max_length=1000)] = ""


class Evidence(Frozen):
    """All that is shown beside the request's own free facts."""

    facts: tuple[Fact, ...] = Field(default=(), max_length=500)
    links: tuple[Link, ...] = Field(default=(), max_length=100)
    tables: tuple[Table, ...] = Field(default=(), max_length=20)
    pictures: tuple[Picture, ...] = Field(default=(), max_length=50)
