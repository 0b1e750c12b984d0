"""Images and sound, byte by byte, through every real server's own way of taking them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pictures
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from asking import Model

from backbeat.data import FolderStore
from backbeat.errors import BackbeatError, ContractBroken, InvalidData
from backbeat.inference import read_scores
from backbeat.inference.connecting import connect
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.served import Asking, score_served
from backbeat.inference.tally import Tally

BATCHES = ("media-binary", "media-grpc", "media-files", "media-v1", "media-v1-records")


def _rows(
    *values: bytes, media_type: str = "image/png", kind: pa.DataType | None = None
) -> pa.RecordBatch:
    field = pa.field("scan", kind or pa.binary(), metadata={"media_type": media_type})
    return pa.record_batch([pa.array(values, field.type)], schema=pa.schema([field]))


def _asked(model: Model, rows: pa.RecordBatch) -> list[dict[str, object]]:
    if model.address.endswith("/many"):
        labels = pa.array([f"l{row}" for row in range(rows.num_rows)])
        rows = rows.append_column("labels", labels)
    answers: list[dict[str, object]] = model.predict(rows).outputs.to_pylist()
    return answers


def _facts(value: bytes, width: int, height: int) -> dict[str, object]:
    digest = hashlib.sha256(value).hexdigest()
    return {"bytes": len(value), "sha256": digest, "width": width, "height": height}


def _same(answer: dict[str, object], expected: dict[str, object]) -> bool:
    return {name: answer[name] for name in expected} == expected


@pytest.mark.address(*BATCHES)
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
def test_every_byte_of_every_picture_arrives(model: Model, kind: pa.DataType) -> None:
    """The server reads each picture's size, and digests the bytes that were sent, in order."""
    sizes = [(3, 5), (640, 480), (1, 1), (17, 1000)]
    values = [pictures.png(*size) for size in sizes]
    answers = _asked(model, _rows(*values, kind=kind))
    assert len(answers) == len(sizes)
    for answer, value, size in zip(answers, values, sizes, strict=True):
        assert _same(answer, _facts(value, *size))


@pytest.mark.address(*BATCHES)
def test_a_large_picture_and_an_awkward_one(model: Model) -> None:
    """Two megabytes of bytes that are no text, and a few that look like a protocol's own."""
    awkward = b'\x89PNG\r\n\x1a\n\r\n--\x00\xff"}]\r\nContent-Length: 0\r\n\r\n'
    large = pictures.png(1, 1) + bytes(range(256)) * 2**13
    answers = _asked(model, _rows(awkward, large))
    for answer, value in zip(answers, (awkward, large), strict=True):
        assert answer["sha256"] == hashlib.sha256(value).hexdigest()


@pytest.mark.address(*BATCHES)
def test_a_slice_sends_its_own_pictures(model: Model) -> None:
    """Rows in the middle of a batch are those that are sent."""
    values = [pictures.png(2, height) for height in range(1, 7)]
    answers = _asked(model, _rows(*values).slice(2, 2))
    assert [answer["height"] for answer in answers] == [3, 4]


@pytest.mark.address(*BATCHES)
def test_sound_arrives_like_a_picture(model: Model) -> None:
    """A WAV is bytes like any other."""
    sound = pictures.wav(100)
    (answer,) = _asked(model, _rows(sound, media_type="audio/wav"))
    assert _same(answer, _facts(sound, 0, 0))


@pytest.mark.address("media-one")
def test_the_media_type_goes_with_the_file(model: Model) -> None:
    """A method that takes PNG alone refuses sound by what it is said to be."""
    with pytest.raises(InvalidData):
        model.predict(_rows(pictures.wav(100), media_type="audio/wav"))


@pytest.mark.address("media-one", "media-body", "media-raw")
def test_a_model_of_one_file_gets_one(model: Model) -> None:
    """As a form's file or as the whole body, with its media type; two rows are refused here."""
    picture = pictures.png(12, 7)
    (answer,) = model.predict(_rows(picture)).outputs.to_pylist()
    assert _same(answer, _facts(picture, 12, 7))
    with pytest.raises(ContractBroken, match="rows"):
        model.predict(_rows(picture, picture))


@pytest.mark.address("media-files")
def test_columns_beside_the_files_go_along(model: Model) -> None:
    """A method's other list is the column of its name."""
    rows = _rows(pictures.png(1, 1), pictures.png(2, 2))
    answer = model.predict(rows.append_column("labels", pa.array(["a", 'b"\r\n'])))
    assert answer.outputs.column("label").to_pylist() == ["a", 'b"\r\n']


@pytest.mark.address("documents")
@pytest.mark.parametrize(
    ("media_type", "value", "part"),
    [
        ("image/png", pictures.png(4, 9), "image_url"),
        ("audio/wav", pictures.wav(50), "input_audio"),
        ("application/pdf", b"%PDF-1.7\n\xff\x00%%EOF", "file"),
    ],
)
def test_a_language_model_gets_documents(
    model: Model, media_type: str, value: bytes, part: str
) -> None:
    """LiteLLM's proxy lets each kind through to its provider, byte by byte."""
    rows = _rows(value, media_type=media_type).append_column("prompt", pa.array(["What is it?"]))
    (found,) = json.loads(model.predict(rows).outputs.column("text")[0].as_py())
    assert found["part"] == part
    assert found["sha256"] == hashlib.sha256(value).hexdigest()


@pytest.mark.address("media-text-only")
def test_kserve_over_rest_takes_bytes_that_are_text(model: Model) -> None:
    """Its SDK 0.21 reads every BYTES tensor of REST as UTF-8; V1 and gRPC take pictures."""
    with pytest.raises(BackbeatError, match="Failed to encode"):
        model.predict(_rows(pictures.png(1, 1)))
    text = b"only text"
    (answer,) = _asked(model, _rows(text))
    assert answer["sha256"] == hashlib.sha256(text).hexdigest()


@pytest.mark.address("media-json")
def test_json_that_has_no_word_for_bytes_says_so(model: Model) -> None:
    """Nothing is sent that the server would read as other bytes."""
    with pytest.raises(BackbeatError, match="JSON"):
        model.predict(_rows(pictures.png(1, 1)))


@pytest.mark.address("media-binary", "media-grpc", "media-v1", "media-files")
def test_a_table_of_pictures_is_scored(model: Model, tmp_path: Path) -> None:
    """Three hundred of all sizes, in requests of 64 KiB: every row has its own picture's facts."""
    values = [pictures.png(row + 1, 300 - row) + bytes(row * 97 % 5000) for row in range(300)]
    values[123] = b"<html>no picture</html>"
    table = pa.Table.from_batches([_rows(*values)])
    table = table.add_column(0, "id", pa.array(range(300), pa.int64()))
    features = ["scan"]
    if model.address.endswith("/many"):
        table = table.append_column("labels", pa.array([f"l{row}" for row in range(300)]))
        features = ["scan", "labels"]
    store = FolderStore(tmp_path)

    async def scored() -> Scored:
        scoring = Scoring(
            data=ds.dataset(table),
            input_digest="sha256:input",
            model_version=model.address,
            store=store,
            output="scores",
            keys=["id"],
            features=features,
            partition=None,
            shard_rows=100,
            parameters={},
        )
        async with connect(model.address) as client:
            asking = Asking(request_bytes=2**16, max_bad_rows=1)
            return (await score_served(scoring, client, asking, tally=Tally()))[0]

    done = asyncio.run(scored())
    assert (done.rows, done.bad) == (300, 1)
    found = read_scores(store, "scores").to_pylist()
    assert [row["id"] for row in found] == [row for row in range(300) if row != 123]
    for row in found:
        at = row["id"]
        assert _same(row, _facts(values[at], at + 1, 300 - at))
