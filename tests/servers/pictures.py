"""Small real PNG and WAV files, made with the standard library."""

from __future__ import annotations

import io
import struct
import wave
import zlib

__all__ = ["png", "wav"]


def png(width: int, height: int, grey: int = 128) -> bytes:
    """A grey picture (ISO/IEC 15948)."""
    rows = (b"\0" + bytes([grey]) * width) * height
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def wav(samples: int, rate: int = 8000) -> bytes:
    """Silence, mono, 16 bits."""
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * samples))
    return written.getvalue()
