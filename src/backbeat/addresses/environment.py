"""The rules of this process, as whoever runs it has set them."""

from __future__ import annotations

import os
import re
from functools import lru_cache

from backbeat.addresses.rules import AddressRules

__all__ = ["VARIABLE", "rules_from_environment"]

VARIABLE = "BACKBEAT_ALLOWED_ADDRESSES"
"""Holds patterns, separated by commas or spaces."""


def rules_from_environment() -> AddressRules:
    """What `BACKBEAT_ALLOWED_ADDRESSES` says now; without it there is no list.

    Raises:
        UnmetNeed: It holds something that is no pattern.
    """
    return _read(os.environ.get(VARIABLE))


# asked with each connection
@lru_cache(maxsize=8)
def _read(text: str | None) -> AddressRules:
    if text is None or not text.strip():
        return AddressRules()
    return AddressRules.of(each for each in re.split(r"[,\s]+", text) if each)
