"""One value, one sequence of bytes, one digest (RFC 8785, JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

__all__ = ["canonical_bytes", "digest"]

_SAFE_INTEGER = 2**53 - 1


def canonical_bytes(value: Any) -> bytes:
    """Serialise JSON data to its canonical bytes.

    Args:
        value: dict, list, str, bool, int, float or None. Integers beyond 2**53 - 1 become
            strings, as RFC 8785 (and every JavaScript reader) cannot hold them.

    Raises:
        ValueError: NaN, an infinity or a lone surrogate, which JSON cannot say.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        return rfc8785.dumps(_widened(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise ValueError(f"this value has no canonical JSON form: {error}") from error


def digest(value: Any) -> str:
    """`sha256:<hex>` of a JSON value's canonical bytes."""
    return "sha256:" + hashlib.sha256(canonical_bytes(value)).hexdigest()


def _widened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _widened(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_widened(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE_INTEGER:
        return str(value)
    return value
