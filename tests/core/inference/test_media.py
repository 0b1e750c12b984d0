"""Images among the rows of a request: looked at before they are sent, and not copied elsewhere."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest

from backbeat.errors import InvalidData
from backbeat.inference.media import fingerprints, media_columns, require_media
from backbeat.inference.prediction import input_digest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
JPEG = b"\xff\xd8\xff\xe0" + bytes(8)


def _rows(*values: bytes | None, media_type: str = "image/png") -> pa.RecordBatch:
    fields = [
        pa.field("id", pa.int64()),
        pa.field("scan", pa.binary(), metadata={"media_type": media_type}),
    ]
    return pa.record_batch(
        [pa.array(range(len(values))), pa.array(values, pa.binary())], schema=pa.schema(fields)
    )


def test_rows_that_are_what_they_say_pass() -> None:
    """Missing values too: whether they may be is the model's to say."""
    require_media(_rows(PNG, None))
    require_media(_rows(b"anything", media_type="image/tiff"))
    require_media(pa.record_batch({"x": [1.0], "raw": pa.array([JPEG])}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (JPEG, "row 2 are 12 bytes that begin as image/jpeg"),
        (b"", "row 2 are 0 bytes that do not begin as image/png"),
        (b"<html>login</html>", "row 2 are 18 bytes that do not begin as image/png"),
    ],
)
def test_other_bytes_are_refused_and_named(value: bytes, message: str) -> None:
    """By column, row, length and what they are, never by what is in them."""
    with pytest.raises(InvalidData, match=message) as error:
        require_media(_rows(PNG, None, value, PNG))
    assert "login" not in str(error.value)


def test_the_row_is_counted_over_all_chunks() -> None:
    """A table's rows may lie in several pieces."""
    with pytest.raises(InvalidData, match="row 3"):
        require_media(pa.Table.from_batches([_rows(PNG, PNG), _rows(PNG, JPEG)]))


def test_text_is_no_image() -> None:
    """A path with a media type is not opened, and says so."""
    field = pa.field("scan", pa.string(), metadata={"media_type": "image/png"})
    rows = pa.record_batch([pa.array(["a.png"])], schema=pa.schema([field]))
    with pytest.raises(InvalidData, match="is string"):
        require_media(rows)


def test_a_fingerprint_stands_for_the_bytes() -> None:
    """Digest and length of each value, of columns of media alone."""
    rows = _rows(PNG, None)
    assert media_columns(rows.schema) == ["scan"]
    found = fingerprints(rows, ["id", "scan"])
    assert {name: values.to_pylist() for name, values in found.items()} == {
        "scan_sha256": ["sha256:" + hashlib.sha256(PNG).hexdigest(), None],
        "scan_bytes": [len(PNG), None],
    }


def test_the_digest_of_what_was_asked_covers_every_byte() -> None:
    """Another last byte of one picture is another input; so is the same one by another name."""
    known = input_digest(_rows(PNG, PNG), {})
    assert known == input_digest(_rows(PNG, PNG), {})
    assert known != input_digest(_rows(PNG, PNG[:-1] + b"x"), {})
    assert known != input_digest(_rows(PNG, PNG, media_type="image/x-other"), {})
