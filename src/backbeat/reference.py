"""References to data: a floating one as a person writes it, a resolved one as it is recorded."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["DataRef", "Dataset"]

Format = Literal["parquet", "csv", "json", "html", "ndjson", "model"]


class DataRef(BaseModel):
    """One resolved piece of data: where it is and exactly which bytes were meant.

    Args:
        uri: A store key (relative), or a URI with a scheme.
        digest: `sha256:<hex>` of the content, or `stat:<hex>` of size, time and Parquet footer
            for a file too large to read twice.
        format: How the bytes are laid out.
        partition: The partition key, where the reference is one of many.
        rows: Number of rows, where it was counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    digest: str
    format: Format = "parquet"
    partition: str | None = None
    rows: int | None = None


class Dataset(BaseModel):
    """A floating reference to tabular files, by name or by days; a bare string is a name.

    With `{day}` in the URI, the dataset is the files of `days` consecutive days, the last of
    which is `until` moved by `shift` days. `Dataset(uri="landing/labels/{day}.parquet",
    until="2013-03-10", shift=-1, days=3)` is the files of 7, 8 and 9 March.

    Args:
        uri: A store key, an absolute path, a `file://` URI or a folder of files of one format.
        until: The day that the window is counted from, ISO format; needed when the URI has `{day}`.
        shift: Days added to `until`; negative reaches back.
        days: Length of the window, in days.
        missing: `refuse` when a day's file is absent, or `skip` it (at least one must be there).
        contract: Store key or path of the data contract (JSON) that the data must keep; it is
            checked before the work starts. None checks nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field(min_length=1)
    until: date | None = None
    shift: int = 0
    days: int = Field(default=1, ge=1, le=3660)
    missing: Literal["refuse", "skip"] = "refuse"
    contract: str | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"uri": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _day_needs_until(self) -> Dataset:
        if ("{day}" in self.uri) != (self.until is not None):
            raise ValueError("a URI with {day} needs `until`, and `until` needs {day} in the URI")
        return self

    def days_covered(self) -> tuple[date, ...]:
        """The window's days in order; empty for a dataset that is not counted in days."""
        if self.until is None:
            return ()
        last = self.until + timedelta(days=self.shift)
        return tuple(last - timedelta(days=back) for back in range(self.days - 1, -1, -1))

    @property
    def title(self) -> str:
        """What people call it: the name, with the window's first and last day in it."""
        days = [day.isoformat() for day in self.days_covered()]
        span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
        return self.uri.replace("{day}", span)

    def uris(self) -> tuple[str, ...]:
        """Every file that the reference names, in order of its days."""
        days = self.days_covered()
        if not days:
            return (self.uri,)
        return tuple(self.uri.replace("{day}", day.isoformat()) for day in days)
