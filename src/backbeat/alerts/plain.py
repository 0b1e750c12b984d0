"""Text of the data's, made harmless for a channel, a terminal and whoever pastes a command."""

from __future__ import annotations

import shlex
import unicodedata

from backbeat.telemetry import redact

__all__ = ["NAME_LETTERS", "command_word", "plain"]

NAME_LETTERS = 80
# what Slack, Teams or Markdown would make a mention or a link of
_OBEYED = str.maketrans({"<": "‹", ">": "›", "@": "＠", "[": "(", "]": ")", "`": "'", "|": "/"})  # noqa: RUF001


def plain(text: str, longest: int = NAME_LETTERS) -> str:
    """A text on one line, cut, without secrets and without what a channel or a terminal obeys.

    Args:
        text: A column's name or a sentence that holds one.
        longest: In letters.
    """
    seen = "".join(
        " " if unicodedata.category(letter)[0] in "CZ" else letter for letter in redact(text)
    )
    # an address is a link without any mark round it
    line = " ".join(seen.translate(_OBEYED).replace("://", ": //").split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def command_word(text: str, *, otherwise: str) -> str:
    """A name as one word of a shell's command, whatever is in it.

    Args:
        text: The name.
        otherwise: What stands in its place where it cannot be shown as it is, or is an option.
    """
    shown = plain(text)
    return shlex.quote(shown) if shown == text and not text.startswith("-") else otherwise
