"""What a bad answer says of its reason, without what it repeats of the rows.

Servers tell in JSON what went wrong, and beside it, or behind it, what they were given: an
`input`, a traceback, a data frame. Errors end up in logs and in the ledger, where rows must not be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from backbeat.inference.message import Response
from backbeat.inference.protocols.said import one_line, said

__all__ = ["reason", "told"]

_MOST_BYTES = 2**20
_DEEP = 4
# members that say which kind of error it is, and those that say what happened
_KINDS = ("error_code", "error_class", "type", "code")
_TEXTS = ("message", "error", "detail", "msg", "info", "reason")
# Python's own words for a value that is no number, and pydantic's for any other
_VALUES = re.compile(
    r"(could not convert string to \w+: |input_value=|invalid literal for .*?: ).*"
)


def reason(response: Response) -> str:
    """The kind of an error and the first line of its text, cut, for a person to read.

    Args:
        response: A bad answer. Where it is no JSON, its first words; where it is JSON of another
            form, the names of its members.
    """
    found = told(response)
    if found is None:
        return _without_values(said(response))
    kind = next(_members(found, _KINDS), "")
    text = next(_members(found, _TEXTS), "")
    both = f"{kind}: {text}" if kind and text else kind or text
    return _without_values(both or f"a JSON object of {', '.join(map(str, found))}")


def told(response: Response) -> Mapping[str, Any] | None:
    """The JSON object of a bad answer; None where it is none."""
    if len(response.body) > _MOST_BYTES:
        return None
    try:
        found = json.loads(bytes(response.body))
    except (RecursionError, ValueError):
        return None
    return found if isinstance(found, Mapping) and found else None


def _members(found: Any, names: tuple[str, ...], deep: int = _DEEP) -> Iterator[str]:
    """Texts of the members of these names, outermost first; of a list, those of its first item."""
    if isinstance(found, list) and found and deep:
        yield from _members(found[0], names, deep - 1)
    if not isinstance(found, Mapping):
        return
    for name in names:
        value = found.get(name)
        if isinstance(value, str) and value.strip():
            yield value.strip()
        elif isinstance(value, int) and not isinstance(value, bool):
            yield str(value)
    if deep:
        for name in ("error", "detail", "status"):
            yield from _members(found.get(name), names, deep - 1)


def _without_values(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    return one_line(_VALUES.sub(r"\1…", first))
