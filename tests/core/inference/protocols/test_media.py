"""Binary columns in the words of each protocol, read back by other hands than ours."""

from __future__ import annotations

import base64
import json
from email.parser import BytesParser
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import ContractBroken, InvalidAnswer, InvalidStep
from backbeat.inference.address import parse_address
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols import protocol_named
from backbeat.inference.protocols.multipart import File, multipart_request

PNG = b"\x89PNG\r\n\x1a\n\r\n--\xff\x00"
FILES = ModelInfo(
    inputs=(
        Field(name="scans", datatype="BYTES", shape=(-1,)),
        Field(name="labels", datatype="", shape=(-1,)),
        Field(name="threshold", datatype="", shape=(-1,)),
    )
)


def _rows(
    *values: bytes | None, name: str = "scan", media_type: str = "image/png"
) -> pa.RecordBatch:
    field = pa.field(name, pa.large_binary(), metadata={"media_type": media_type})
    return pa.record_batch([pa.array(values, field.type)], schema=pa.schema([field]))


def _encoded(address: str, rows: pa.RecordBatch, info: ModelInfo, **parameters: Any) -> Request:
    endpoint = parse_address(address)
    protocol = protocol_named(endpoint.protocol)
    protocol.check(endpoint)
    return protocol.encode(endpoint, info, rows, parameters)


def _json(address: str, rows: pa.RecordBatch) -> Any:
    return json.loads(b"".join(_encoded(address, rows, ModelInfo()).body))


def _parts(sent: Request) -> list[tuple[str, str | None, str, bytes]]:
    """Field, file name, media type and content of each part, as the standard library reads them."""
    body = b"".join(bytes(part) for part in sent.body)
    head = f"Content-Type: {sent.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + body)
    found = []
    for part in message.get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((str(name), part.get_filename(), part.get_content_type(), content))
    return found


def test_kserve_gets_base64_as_an_instance_or_as_its_member() -> None:
    """One column of bytes is the instances themselves; by name where the model has names."""
    coded = {"b64": base64.b64encode(PNG).decode()}
    address = "kserve-v1+http://h:1/v1/models/m"
    assert _json(address, _rows(PNG, PNG)) == {"instances": [coded, coded]}
    assert _json(f"{address}?rows=records", _rows(PNG)) == {"instances": [{"scan": coded}]}
    two = _rows(PNG).append_column("id", pa.array([7]))
    assert _json(address, two) == {"instances": [[coded, 7]]}


@pytest.mark.parametrize("media_type", ["image/png", "audio/wav", "application/pdf"])
def test_torchserve_gets_the_bytes_of_one_row(media_type: str) -> None:
    """As the whole body, which is not copied, with its media type."""
    address = "torchserve+http://h:1/predictions/resnet?rows=raw"
    rows = _rows(PNG, b"other").slice(0, 1)
    sent = _encoded(address, _rows(PNG, media_type=media_type), ModelInfo())
    assert (sent.method, sent.headers["content-type"]) == ("POST", media_type)
    assert b"".join(_encoded(address, rows, ModelInfo()).body) == PNG
    assert protocol_named("torchserve").rows_a_request(parse_address(address)) == 1
    other = parse_address("torchserve+http://h:1/predictions/resnet")
    assert protocol_named("torchserve").rows_a_request(other) == 0


@pytest.mark.parametrize(
    "rows",
    [
        _rows(PNG, PNG),
        _rows(None),
        _rows(PNG).append_column("id", pa.array([7])),
        pa.record_batch({"text": ["a"]}),
    ],
    ids=["two rows", "null", "two columns", "text"],
)
def test_torchserve_gets_nothing_else_raw(rows: pa.RecordBatch) -> None:
    """And the error says what a body can be."""
    with pytest.raises(ContractBroken, match=r"rows=raw|null"):
        _encoded("torchserve+http://h:1/predictions/resnet?rows=raw", rows, ModelInfo())


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        (b'{"tabby": 0.7, "lynx": 0.2}', {"tabby": [0.7], "lynx": [0.2]}),
        (b"[0.1, 0.9]", {"prediction": [[0.1, 0.9]]}),
        (b"3", {"prediction": [3]}),
    ],
)
def test_a_handlers_answer_is_that_to_the_one_row(body: bytes, columns: dict[str, Any]) -> None:
    """Labels with their probabilities are columns; a vector is one value."""
    endpoint = parse_address("torchserve+http://h:1/predictions/resnet?rows=raw")
    response = Response(status=200, body=body)
    answer = protocol_named("torchserve").decode(endpoint, ModelInfo(), _rows(PNG), response)
    assert answer.outputs.to_pydict() == columns


def test_an_unknown_form_of_rows_is_refused() -> None:
    """And the other protocols have no raw one."""
    for address in (
        "torchserve+http://h:1/predictions/m?rows=rawest",
        "kserve-v1+http://h:1/v1/models/m?rows=raw",
    ):
        with pytest.raises(InvalidStep):
            _encoded(address, _rows(PNG), ModelInfo())


def test_bentoml_gets_a_form_of_files_and_values() -> None:
    """Files in the rows' order with their media type, other columns and parameters as JSON."""
    rows = _rows(PNG, b"", name="scans").append_column("labels", pa.array(["a", "ü"]))
    sent = _encoded("bentoml+http://h:1/many", rows, FILES, threshold=0.5)
    assert _parts(sent) == [
        ("scans", "0", "image/png", PNG),
        ("scans", "1", "image/png", b""),
        ("threshold", None, "application/json", b"0.5"),
        ("labels", None, "application/json", b'["a", "\\u00fc"]'),
    ]


def test_bentoml_takes_the_one_binary_column_whatever_its_name() -> None:
    """A method of files has one place for it."""
    assert _parts(_encoded("bentoml+http://h:1/many", _rows(PNG), FILES))[0][0] == "scans"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (_rows(PNG, None), "null in row 1"),
        (_rows(PNG, name="scans").append_column("lables", pa.array(["a"])), "lables"),
        (pa.record_batch({"text": ["a"]}), "binary columns are none"),
    ],
)
def test_bentoml_gets_no_form_that_its_method_cannot_take(rows: pa.RecordBatch, says: str) -> None:
    """It is refused here, and nothing is sent."""
    with pytest.raises(ContractBroken, match=says):
        _encoded("bentoml+http://h:1/many", rows, FILES)


@pytest.mark.parametrize(
    ("declared", "shape"),
    [
        (b'{"type":"file","format":"image","content_type":"image/png"}', ()),
        (b'{"type":"array","items":{"type":"file","format":"binary"}}', (-1,)),
    ],
)
def test_bentoml_says_which_parameters_are_files(declared: bytes, shape: tuple[int, ...]) -> None:
    """One, or a list of them."""
    endpoint = parse_address("bentoml+http://h:1/many")
    body = b'{"name":"s","routes":[{"route":"/many","input":{"properties":{"scans":%s}}}]}'
    response = Response(status=200, body=body % declared)
    info = protocol_named("bentoml").read_description(endpoint, response)
    assert info.inputs == (Field(name="scans", datatype="BYTES", shape=shape),)


def test_a_file_that_is_the_whole_body_goes_as_it_is() -> None:
    """With its media type, and without parameters, which have no place."""
    info = ModelInfo(inputs=(Field(name="", datatype="BYTES", shape=()),))
    sent = _encoded("bentoml+http://h:1/body", _rows(PNG, media_type="audio/flac"), info)
    assert (b"".join(sent.body), sent.headers["content-type"]) == (PNG, "audio/flac")
    with pytest.raises(InvalidStep):
        _encoded("bentoml+http://h:1/body", _rows(PNG), info, threshold=1)


@given(contents=st.lists(st.binary(max_size=80), min_size=1, max_size=4), name=st.text(max_size=8))
def test_a_form_has_what_was_put_into_it(contents: list[bytes], name: str) -> None:
    """Whatever is in the files, and whatever their field is called, no part becomes two."""
    files = [
        File(name=name, filename='a"\r\nb', media_type="image/png", content=content)
        for content in contents
    ]
    sent = multipart_request("http://h:1/", files, {"x": [1, None]})
    body = b"".join(sent.body)
    boundary = sent.headers["content-type"].partition("boundary=")[2].encode()
    assert body.count(b"--" + boundary) == len(contents) + 2
    between = body.split(b"--" + boundary)[1:-1]
    found = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in between]
    assert found == [*contents, b"[1, null]"]
    assert all(part.partition(b"\r\n\r\n")[0].count(b"\r\n") == 2 for part in between[:-1])


def test_a_language_model_gets_a_pdf_as_a_file() -> None:
    """As OpenAI's API has files in a message."""
    pdf = _rows(b"%PDF-1.7", name="letter", media_type="application/pdf")
    rows = pdf.append_column("prompt", pa.array(["Who wrote it?"]))
    address = "openai+http://h:1/v1/chat/completions?model=m"
    (message,) = _json(address, rows)["messages"]
    data = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7").decode()
    assert message["content"][1] == {
        "type": "file",
        "file": {"filename": "letter.pdf", "file_data": data},
    }


def test_a_label_that_is_no_row_is_no_answer() -> None:
    """Without ?rows=raw an object of numbers is no prediction a row."""
    endpoint = parse_address("torchserve+http://h:1/predictions/resnet")
    response = Response(status=200, body=b'{"tabby": 0.7}')
    with pytest.raises(InvalidAnswer):
        protocol_named("torchserve").decode(endpoint, ModelInfo(), _rows(PNG), response)
