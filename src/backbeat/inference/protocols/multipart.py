"""Files and values as `multipart/form-data` (RFC 7578), none of them copied or encoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbeat.inference.message import Request

__all__ = ["File", "multipart_request"]

# of a name in a header, as browsers write them (RFC 7578, 2, and the URL standard's form encoding)
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a form.

    Args:
        name: Of the form's field.
        filename: What the server is to call it.
        media_type: What it is.
        content: Its bytes.
    """

    name: str
    filename: str
    media_type: str
    content: bytes | memoryview


def multipart_request(url: str, files: Sequence[File], values: Mapping[str, Any]) -> Request:
    """A request with files, and beside them values as JSON.

    Args:
        url: Where it goes.
        files: In order; those of one name are the server's list.
        values: By the form's field.

    Raises:
        ValueError: A value has no form in JSON.
    """
    heads = [
        _head(file.name, f'; filename="{file.filename.translate(_ESCAPES)}"', file.media_type)
        for file in files
    ]
    fields = [
        (_head(name, "", "application/json"), json.dumps(value, allow_nan=False).encode())
        for name, value in values.items()
    ]
    parts = [*zip(heads, [file.content for file in files], strict=True), *fields]
    # nobody can write a file that holds the digest of itself
    hasher = hashlib.sha256()
    for head, content in parts:
        hasher.update(head)
        hasher.update(content)
    boundary = hasher.hexdigest().encode()
    body: list[bytes | memoryview] = []
    for head, content in parts:
        body += [b"--" + boundary + b"\r\n" + head, content, b"\r\n"]
    body.append(b"--" + boundary + b"--\r\n")
    headers = {
        "accept": "application/json",
        "content-type": f"multipart/form-data; boundary={boundary.decode()}",
    }
    return Request(method="POST", url=url, headers=headers, body=tuple(body))


def _head(name: str, more: str, media_type: str) -> bytes:
    said = f'Content-Disposition: form-data; name="{name.translate(_ESCAPES)}"{more}\r\n'
    return f"{said}Content-Type: {media_type}\r\n\r\n".encode()
