"""Embeddings; the answers are recorded from LiteLLM 1.106."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import ContractBroken, InvalidAnswer
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("openai")
ENDPOINT = parse_address("openai+http://127.0.0.1:4000/v1/embeddings?model=texts")
ROWS = pa.record_batch({"input": ["a b", "c"]})
GOOD = (
    b'{"model":"texts","data":[{"object":"embedding","index":0,"embedding":[0.5,0.25]},'
    b'{"object":"embedding","index":1,"embedding":[1,0]}],"object":"list","usage":'
    b'{"completion_tokens":0,"prompt_tokens":3,"total_tokens":3,"prompt_tokens_details":null}}'
)


def _read(body: bytes, rows: pa.RecordBatch = ROWS) -> Answer:
    response = Response(
        status=200, headers={"content-type": "application/json", "x-request-id": "r"}, body=body
    )
    return PROTOCOL.decode(ENDPOINT, ModelInfo(), rows, response)


def _sent(rows: pa.RecordBatch, **parameters: Any) -> Any:
    return json.loads(b"".join(PROTOCOL.encode(ENDPOINT, ModelInfo(), rows, parameters).body))


def test_texts_are_sent_as_one_list() -> None:
    """With the model's name, and the size that a caller wants."""
    assert _sent(ROWS, dimensions=2) == {"model": "texts", "input": ["a b", "c"], "dimensions": 2}


@pytest.mark.parametrize(
    "rows",
    [
        pa.record_batch({"text": ["a"]}),
        pa.record_batch({"input": ["a"], "id": [1]}),
        pa.record_batch({"input": [1]}),
        pa.record_batch({"input": pa.array(["a", None])}),
    ],
)
def test_what_is_no_column_of_text_is_refused_before_it_is_sent(rows: pa.RecordBatch) -> None:
    """Another name, other columns, other types, and nulls."""
    with pytest.raises(ContractBroken, match="input"):
        _sent(rows)


def test_an_answer_is_a_vector_a_row() -> None:
    """Of one size, as floats; with the model and what was counted."""
    answer = _read(GOOD)
    assert answer.outputs.schema.field("embedding").type == pa.list_(pa.float32(), 2)
    assert answer.outputs.to_pydict() == {"embedding": [[0.5, 0.25], [1.0, 0.0]]}
    assert (answer.model, answer.request_id) == ("texts", "r")
    assert answer.usage == {"input_tokens": 3, "output_tokens": 0}


@given(order=st.permutations(range(5)))
def test_vectors_stand_in_the_order_of_the_texts(order: list[int]) -> None:
    """However the server has sorted them."""
    data = [{"index": at, "embedding": [float(at)]} for at in order]
    rows = pa.record_batch({"input": list("abcde")})
    found = _read(json.dumps({"data": data}).encode(), rows).outputs
    assert found.to_pydict() == {"embedding": [[0.0], [1.0], [2.0], [3.0], [4.0]]}


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"{}",
        b"[]",
        b'[{"index":0,"embedding":[1]}]',
        b'[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]',
        b'[{"index":0,"embedding":[1]},{"index":2,"embedding":[2]}]',
        b'[{"index":[],"embedding":[1]},{"index":1,"embedding":[2]}]',
        b'[{"index":0,"embedding":[1]},{"index":1,"embedding":[2,3]}]',
        b'[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]',
        b'[{"index":0,"embedding":["1"]},{"index":1,"embedding":["2"]}]',
        b'[{"index":0,"embedding":[null]},{"index":1,"embedding":[2]}]',
        b'[{"index":0,"embedding":"AACAPw=="},{"index":1,"embedding":"AACAPw=="}]',
        b'[{"index":0},{"index":1}]',
        b'["a","b"]',
    ],
)
def test_what_is_not_one_vector_a_text_is_invalid(data: bytes) -> None:
    """Too few, twice the same, of different sizes, or no numbers."""
    with pytest.raises(InvalidAnswer):
        _read(b'{"data":' + data + b"}")
