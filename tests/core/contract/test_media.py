"""Media types of binary columns: said by a field, demanded by a contract, contradicted by bytes."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from backbeat.contract import (
    Column,
    DataContract,
    check,
    compare,
    contract_of,
    require,
    rules,
)
from backbeat.contract.media import (
    contradicted,
    media_type_of,
    one_name,
    recognised,
    with_media_types,
)
from backbeat.errors import ContractBroken


def _wav() -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 10)
    return written.getvalue()


def _png() -> bytes:
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


SAMPLES = {
    "image/png": _png(),
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "image/gif": b"GIF89a\x01\x00\x01\x00",
    "image/webp": b"RIFF\x1a\x00\x00\x00WEBPVP8L",
    "audio/wav": _wav(),
    "audio/flac": b"fLaC\x00\x00\x00\x22",
    "audio/mpeg": b"\xff\xfb\x90\x64\x00",
    "application/pdf": b"%PDF-1.7\n",
}


def _column(values: list[bytes | None], said: str = "") -> pa.Table:
    field = pa.field("scan", pa.binary(), metadata={"media_type": said} if said else None)
    return pa.table([pa.array(values, pa.binary())], schema=pa.schema([field]))


def _contract(**column: Any) -> DataContract:
    scan = Column.model_validate({"name": "scan", "type": "binary", **column})
    return DataContract(name="scans", version="1.0.0", columns=(scan,))


@pytest.mark.parametrize("media_type", SAMPLES)
def test_a_type_is_told_from_every_other(media_type: str) -> None:
    """Its own sample keeps it, no other one does, and it is recognised by itself."""
    for other, value in SAMPLES.items():
        mask = contradicted(pa.array([value, None], pa.binary()), media_type)
        assert mask.to_pylist() == [other != media_type, False]
    assert recognised(SAMPLES[media_type]) == media_type


@pytest.mark.parametrize(
    ("media_type", "value"),
    [
        ("image/gif", b"GIF87a\x01"),
        ("audio/wav", b"RF64\xff\xff\xff\xffWAVE"),
        ("audio/mpeg", b"ID3\x04\x00"),
        ("audio/mpeg", b"\xff\xf3\x40"),
        ("audio/flac", b"ID3\x04\x00"),
        ("application/pdf", b"\xef\xbb\xbf%PDF-1.4"),
        ("application/pdf", b"\n" * 1019 + b"%PDF-"),
        ("audio/wav", b"RIFF\n\n\n\nWAVE"),
    ],
)
def test_its_other_beginnings_are_known(media_type: str, value: bytes) -> None:
    """Older versions, tags in front, and bytes that are a line's end."""
    assert contradicted(pa.array([value]), media_type).to_pylist() == [False]


@pytest.mark.parametrize(
    ("media_type", "value"),
    [
        ("image/png", b""),
        ("image/png", b"\x89PNG"),
        ("image/webp", SAMPLES["audio/wav"]),
        ("audio/mpeg", b"\xff\xe0"),
        ("audio/mpeg", b"\xff\xff\xff"[:1]),
        ("application/pdf", b"\n" * 1020 + b"%PDF-"),
        ("image/jpeg", b"x" + SAMPLES["image/jpeg"]),
    ],
)
def test_what_begins_otherwise_contradicts(media_type: str, value: bytes) -> None:
    """A cut value, another file of the same container, and a signature further on."""
    assert contradicted(pa.array([value]), media_type).to_pylist() == [True]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(4)], ids=str)
def test_every_layout_of_bytes_is_looked_at(kind: pa.DataType) -> None:
    """And a slice's own values alone."""
    values = pa.array([b"fLaC", b"\xff\xd8\xff\xe0", None, b"fLaC"], kind)
    assert contradicted(values, "audio/flac").to_pylist() == [False, True, False, False]
    assert contradicted(values.slice(1, 2), "audio/flac").to_pylist() == [True, False]


def test_a_type_without_a_known_signature_is_taken_at_its_word() -> None:
    """Nothing is said against a TIFF."""
    assert contradicted(pa.array([b"anything"]), "image/tiff").to_pylist() == [False]


def test_names_of_one_type_are_one() -> None:
    """Old names, capitals and parameters say nothing else."""
    assert one_name("Audio/X-WAV; rate=8000") == "audio/wav"
    assert media_type_of(_column([], "image/JPG").schema.field(0)) == "image/jpeg"
    assert media_type_of(pa.field("x", pa.binary())) == ""


def test_a_contract_demands_it_of_every_value() -> None:
    """The finding counts the rows, and says what one of them is instead."""
    table = _column([SAMPLES["image/png"], None, SAMPLES["image/jpeg"], b"no picture"])
    (found,) = check(_contract(media_type="image/png"), table).findings
    assert (found.column, found.rule, found.rows) == ("scan", "media_type", 2)
    assert found.example == "image/jpeg"
    with pytest.raises(ContractBroken, match="does not begin as image/png in 2 rows"):
        require(_contract(media_type="image/png"), table, what="scans")


def test_a_value_of_no_known_type_is_shown_by_its_first_bytes() -> None:
    """However long it is."""
    (found,) = check(_contract(media_type="image/png"), _column([b"x" * 10**6])).findings
    assert found.example == repr(b"x" * 12)


def test_a_contract_holds_what_the_field_says_against_its_own_word() -> None:
    """Another type said is a finding, no type said is none, and an old name is the same type."""
    rows = [SAMPLES["audio/wav"]]
    for said, broken in (("audio/flac", ["media_type"]), ("", []), ("audio/x-wav", [])):
        found = check(_contract(media_type="audio/wav"), _column(rows, said)).findings
        assert [finding.rule for finding in found] == broken


def test_only_bytes_have_a_media_type() -> None:
    """A path is text; and a media type looks like one."""
    for wrong in ({"type": "string", "media_type": "image/png"}, {"media_type": "png"}):
        with pytest.raises(ValidationError):
            _contract(**wrong)


def test_what_a_field_says_is_in_the_contract_that_is_inferred() -> None:
    """By its usual name; what is no media type is left out."""
    for said, expected in (("image/jpg", "image/jpeg"), ("", None), ("picture", None)):
        (column,) = contract_of(_column([], said)).columns
        assert column.media_type == expected


def test_a_contract_without_media_is_the_same_document() -> None:
    """Its digest is what it was before there were media types."""
    assert "media_type" not in str(_contract().to_json())


@pytest.mark.parametrize(
    ("old", "new", "level"),
    [
        (None, "image/png", "additive"),
        ("image/png", None, "breaking"),
        ("image/png", "image/jpeg", "breaking"),
        ("image/jpg", "image/jpeg", "none"),
    ],
)
def test_a_change_of_it_matters_to_readers(old: str | None, new: str | None, level: str) -> None:
    """As that of a unit does."""
    versions = [{} if each is None else {"media_type": each} for each in (old, new)]
    assert compare(_contract(**versions[0]), _contract(**versions[1])).level == level


def test_a_contract_says_it_for_files_that_do_not(tmp_path: Path) -> None:
    """Files of other writers have no metadata: the dataset's rows have the contract's."""
    table = pa.table({"id": [1], "scan": pa.array([SAMPLES["image/png"]], pa.binary())})
    pq.write_table(table, tmp_path / "a.parquet")
    data = ds.dataset(tmp_path / "a.parquet")
    known = with_media_types(data.schema, {"scan": "image/png", "other": "image/gif"})
    (batch,) = data.replace_schema(known).to_batches(columns=["scan"])
    assert media_type_of(batch.schema.field("scan")) == "image/png"
    again = with_media_types(known, {"scan": "image/gif"})
    assert media_type_of(again.field("scan")) == "image/png"


def test_pictures_are_not_all_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 64 MB in one row group is checked with less than the half of it in memory."""
    picture = SAMPLES["image/png"] + bytes(2**18)
    table = pa.table({"scan": pa.array([picture] * 256, pa.binary())})
    pq.write_table(
        table,
        tmp_path / "a.parquet",
        compression="none",
        use_dictionary=False,
        write_batch_size=16,
    )
    del table
    pool = pa.default_memory_pool()
    before, peak = pool.bytes_allocated(), 0
    looks = rules.contradicted

    def watched(values: pa.Array, media_type: str) -> pa.Array:
        nonlocal peak
        peak = max(peak, pool.bytes_allocated() - before)
        return looks(values, media_type)

    # the pool's own mark cannot be set back: what is held is looked at while rows are read
    monkeypatch.setattr(rules, "contradicted", watched)
    checked = check(_contract(media_type="image/png"), ds.dataset(tmp_path / "a.parquet"))
    assert checked.ok
    assert checked.rows == 256
    assert 0 < peak < 40 * 2**20
