"""One value, one sequence of bytes, one digest (RFC 8785, JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

__all__ = ["canonical_bytes", "digest"]

_SAFE_INTEGER = 2**53 - 1
_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode


def canonical_bytes(value: Any) -> bytes:
    """Serialise JSON data to its canonical bytes.

    Args:
        value: dict, list, str, bool, int, float or None. Integers beyond 2**53 - 1 become
            strings, as RFC 8785 (and every JavaScript reader) cannot hold them.

    Raises:
        ValueError: NaN, an infinity or a lone surrogate, which JSON cannot say.
    """
    # most of what is recorded is plain ASCII text and small integers, and there the standard
    # library's C encoder writes the same bytes as the RFC asks for, ten times as fast
    if _is_plain(value):
        return _encode(value).encode()
    try:
        return rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        return rfc8785.dumps(_widened(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise ValueError(f"this value has no canonical JSON form: {error}") from error


def digest(value: Any) -> str:
    """`sha256:<hex>` of a JSON value's canonical bytes."""
    return "sha256:" + hashlib.sha256(canonical_bytes(value)).hexdigest()


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii() or not _is_plain(item):
                return False
        return True
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    if kind is int:
        return bool(-_SAFE_INTEGER <= value <= _SAFE_INTEGER)
    return value is None or kind is bool


def _widened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _widened(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_widened(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE_INTEGER:
        return str(value)
    return value
