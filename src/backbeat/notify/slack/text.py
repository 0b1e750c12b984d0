"""A text object of Block Kit, always `plain_text`: nothing in it is a mention, a link or markup."""

from __future__ import annotations

from typing import Any

from backbeat.notify.plain import lines

__all__ = ["escaped", "plain_text"]


def plain_text(text: str, longest: int, *, otherwise: str = "-") -> dict[str, Any]:
    """A text in its place.

    Args:
        text: In anybody's words.
        longest: What Slack takes there, in letters, as they are sent.
        otherwise: What stands there where nothing is left of the text: Slack takes no empty one.
    """
    room = longest
    shown = lines(text, room) or otherwise
    # what & becomes counts too
    while len(escaped(shown)) > longest:
        room -= max(1, (len(escaped(shown)) - longest) // 5)
        shown = lines(text, room)
    return {"type": "plain_text", "text": escaped(shown), "emoji": False}


def escaped(text: str) -> str:
    """Slack reads & as the beginning of an entity; `<` and `>` are in no harmless text."""
    return text.replace("&", "&amp;")
