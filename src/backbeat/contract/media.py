"""Images, sound and documents in binary columns: what a field says they are, and bytes that differ.

A field says it by the metadata `media_type`, such as `image/png` (RFC 6838). The first bytes of a
value are held against it by the signatures below; nothing is decoded, so a file that begins well
and is damaged further on is the model's to refuse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MEDIA_NAME",
    "MEDIA_TYPE",
    "contradicted",
    "is_binary",
    "media_type_of",
    "one_name",
    "recognised",
    "with_media_types",
]

MEDIA_TYPE = b"media_type"
"""The key of a field's metadata."""

_WORD = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MEDIA_NAME = re.compile(f"^{_WORD}/{_WORD}$")
"""What a media type looks like (RFC 6838, 4.2)."""

_ALIASES = {
    "application/x-pdf": "application/pdf",
    "audio/mp3": "audio/mpeg",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-wav": "audio/wav",
    "image/jpg": "image/jpeg",
    "image/x-png": "image/png",
}
# PNG (ISO/IEC 15948, 5.2), JPEG (T.81, B.1.1), GIF89a (17), WebP and WAVE in RIFF or RF64, FLAC
# (RFC 9639, 6), MPEG audio (a frame's sync with a layer, ISO/IEC 11172-3, 2.4.1.3) and ID3v2 tags
_SIGNATURES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n", re.DOTALL),
    "image/jpeg": re.compile(rb"\xff\xd8\xff", re.DOTALL),
    "image/gif": re.compile(rb"GIF8[79]a", re.DOTALL),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "audio/wav": re.compile(rb"(RIFF|RIFX|RF64|BW64).{4}WAVE", re.DOTALL),
    "audio/flac": re.compile(rb"fLaC|ID3", re.DOTALL),
    "audio/mpeg": re.compile(rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL),
    # readers look for it in the first 1024 bytes
    "application/pdf": re.compile(rb".{0,1019}?%PDF-", re.DOTALL),
}
_HEAD = {"application/pdf": 1024}
_USUAL_HEAD = 16


def media_type_of(field: pa.Field) -> str:
    """The media type that a field's metadata names, by its usual name; empty where it says none."""
    said: bytes = (field.metadata or {}).get(MEDIA_TYPE, b"")
    return one_name(said.decode("utf-8", "replace"))


def one_name(media_type: str) -> str:
    """A media type in small letters, without parameters, by the most usual of its names."""
    bare = media_type.partition(";")[0].strip().lower()
    return _ALIASES.get(bare, bare)


def recognised(value: bytes) -> str:
    """What the first bytes of a value say that it is; empty where they are not known."""
    head = value[: max(_HEAD.values())]
    return next((name for name, found in _SIGNATURES.items() if found.match(head)), "")


def contradicted(values: pa.Array, media_type: str) -> pa.Array:
    """A mask that is true where a value cannot be of a media type; false where it is null.

    Args:
        values: `binary`, `large_binary` or `fixed_size_binary`.
        media_type: Of a type without a known signature every value can be.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    name = one_name(media_type)
    signature = _SIGNATURES.get(name)
    if signature is None or not len(values):
        return pa.repeat(pa.scalar(value=False), len(values))
    # only the heads become Python's: a value may have many megabytes
    heads = pc.binary_slice(values, 0, _HEAD.get(name, _USUAL_HEAD)).to_pylist()
    return pa.array([head is not None and not signature.match(head) for head in heads], pa.bool_())


def is_binary(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold images, sound or documents."""
    import pyarrow as pa

    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def with_media_types(schema: pa.Schema, media_types: dict[str, str]) -> pa.Schema:
    """A schema whose fields say these media types; what a field says itself is left as it is.

    Args:
        schema: Of the table.
        media_types: Column to media type; names that the schema does not have are left out.
    """
    for at, field in enumerate(schema):
        if field.name in media_types and not media_type_of(field):
            metadata = {**(field.metadata or {}), MEDIA_TYPE: media_types[field.name].encode()}
            schema = schema.set(at, field.with_metadata(metadata))
    return schema
