"""Words of people and data, made harmless for every channel: nothing in them is obeyed or shown.

The same idea as `backbeat.alerts.plain`, for texts of several lines and from people who may want to
deceive a voter: markup, mentions, links, secrets, control characters and direction overrides.
"""

from __future__ import annotations

import unicodedata

from backbeat.telemetry import redact

__all__ = ["line", "lines"]

# what Slack, Teams or Markdown would make a mention or a link of, and HTML markup
_OBEYED = str.maketrans({"<": "‹", ">": "›", "@": "＠", "[": "(", "]": ")", "`": "'", "|": "/"})  # noqa: RUF001
# a base letter carries some accents in every language; a column of hundreds covers its neighbours
_MOST_MARKS = 4


def line(text: str, longest: int) -> str:
    """A text on one line, cut, without what a channel or a terminal obeys.

    Args:
        text: In anybody's words.
        longest: In letters, the mark of a cut included.
    """
    # what is cut away anyway is not worth reading, and a megabyte would take its time
    seen = "".join(_shown(redact(text[: 4 * longest])))
    # an address is a link without any mark round it
    plain = " ".join(seen.translate(_OBEYED).replace("://", ": //").split())
    cut = len(plain) > longest or len(text) > 4 * longest
    return f"{plain[: longest - 1]}…" if cut else plain


def lines(text: str, longest: int) -> str:
    """A text on its own lines, cut; see `line`.

    Args:
        text: In anybody's words.
        longest: In letters, over all lines.
    """
    kept = [line(each, longest) for each in text[: 4 * longest].splitlines()]
    whole = "\n".join(kept).strip("\n")
    cut = len(whole) > longest or len(text) > 4 * longest
    return f"{whole[: longest - 1]}…" if cut else whole


def _shown(text: str) -> list[str]:
    shown: list[str] = []
    marks = 0
    for letter in text:
        category = unicodedata.category(letter)
        marks = marks + 1 if category[0] == "M" else 0
        if marks <= _MOST_MARKS:
            shown.append(" " if category[0] in "CZ" else letter)
    return shown
