"""Other people's words: bounded where they come in, data where they lie, harmless where they show.

Markup and scripts need no cleaning here: nothing of backbeat interprets a text, and what shows it
on a page escapes it there. What can deceive in plain text, terminals and logs is shown as its code:
control characters, direction overrides and invisible ones.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

__all__ = ["Frozen", "Line", "Name", "Paragraph", "harmless", "name_key", "writable"]

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A person's, a group's or a field's name."""

Line = Annotated[str, StringConstraints(max_length=300)]
"""A title or a label."""

Paragraph = Annotated[str, StringConstraints(max_length=4000)]
"""A reason, in somebody's own words."""

_OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class Frozen(BaseModel):
    """Data that nobody changes, and that has no field which nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def harmless(text: str) -> str:
    """A text in which what a terminal or a reader's eye would obey is shown as its code."""
    return "".join(
        char
        if char == "\n" or unicodedata.category(char) not in _OBEYED
        else ascii(char).strip("'")
        for char in text
    )


def writable(text: str) -> str:
    """A text without what UTF-8 cannot say: each lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def name_key(name: str) -> str:
    """What two spellings of one name have in common: `Ana`, `ana ` and a full-width one."""
    return unicodedata.normalize("NFKC", name).strip().casefold()
