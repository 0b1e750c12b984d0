"""Secrets never reach logs, events, errors or the ledger."""

from __future__ import annotations

import re

__all__ = ["redact"]

_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:?[^/\s@]*@")
_HEADER = re.compile(r"(?i)\b(authorization\W{1,4}(?:bearer|basic)?|bearer|basic)\s+[\w.~+/=-]{6,}")
_OUR_TOKEN = re.compile(r"\b(bb1\.\w+)\.[\w-]+")
_ASSIGNMENT = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)[\w-]*)"
    r"""(["']?\s*[=:]\s*["']?)([^\s"',;&]+)"""
)


def redact(text: str) -> str:
    """Replace credentials in a text by `***`.

    In URLs, in headers, in `password=…` pairs, and the secret of a ledger service's token.
    """
    text = _URL_CREDENTIALS.sub("***@", text)
    text = _OUR_TOKEN.sub(r"\1.***", text)
    text = _HEADER.sub(r"\1 ***", text)
    return _ASSIGNMENT.sub(r"\1\2***", text)
