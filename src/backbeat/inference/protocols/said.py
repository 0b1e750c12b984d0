"""Text of a server for a person to read: short, on one line, without secrets."""

from __future__ import annotations

import re

from backbeat.inference.message import Response
from backbeat.redact import redact

__all__ = ["MOST_LETTERS", "one_line", "said"]

MOST_LETTERS = 300
_COUNTED = re.compile(r"(?<=[0-9] )tokens:")
_KEPT = "\x00"


def said(response: Response) -> str:
    """The first words of an answer, on one line."""
    # a letter takes at most four bytes
    return one_line(bytes(response.body[: 4 * MOST_LETTERS]).decode(errors="replace"))


def one_line(text: str) -> str:
    """A text's first words, without what cannot be printed, and without credentials."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * MOST_LETTERS])
    # a count of a language model's tokens is no secret, and says what is wrong
    words = _COUNTED.sub(_KEPT, " ".join(plain.split()))
    words = redact(words).replace(_KEPT, "tokens:")
    return words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}…"
