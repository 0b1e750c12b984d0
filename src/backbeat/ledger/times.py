"""Moments as the ledger stores them: UTC text of one width, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["from_text", "to_text"]


def to_text(moment: datetime) -> str:
    """`2026-11-22T02:00:00.000000Z`."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text[:-6]}Z"  # without +00:00


def from_text(text: str) -> datetime:
    """The moment that `to_text` wrote."""
    return datetime.fromisoformat(text)
