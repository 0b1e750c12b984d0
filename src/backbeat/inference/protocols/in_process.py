"""A model in this process: rows go to it as Arrow's IPC stream, and its outputs come back as one.

    models:/churn@champion
    file:///srv/models/churn

What carries them runs the model: `backbeat.inference.local_transport`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from backbeat.errors import BackbeatError, ContractBroken, InvalidAnswer
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, Field, ModelInfo
from backbeat.inference.protocols.http_json import no_parameters

__all__ = ["InProcess"]


class InProcess:
    """The verbs `READY`, `DESCRIBE` and `PREDICT`, and Arrow as their body."""

    transports = frozenset({"local"})

    def rows_a_request(self, endpoint: Endpoint) -> int:
        """0: there is no limit."""
        return 0

    def check(self, endpoint: Endpoint) -> None:
        """Nothing is left to check: reading the address has done so."""

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask for the model to be loaded."""
        return Request(method="READY", url=endpoint.address)

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """True: what could not be loaded was raised."""
        return True

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask which version is loaded, and what it takes."""
        return Request(method="DESCRIBE", url=endpoint.address)

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """Name, version, and the columns that the model was trained on."""
        found = json.loads(bytes(response.body))
        return ModelInfo(
            name=found["name"],
            version=found["version"],
            server=found["server"],
            inputs=tuple(
                Field(name=column, datatype="", shape=(-1,)) for column in found["columns"]
            ),
        )

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, object],
    ) -> Request:
        """Rows as an IPC stream; a column that the model declares and they lack is told."""
        no_parameters(endpoint, parameters)
        missing = [each.name for each in info.inputs if each.name not in rows.schema.names]
        if missing:
            raise ContractBroken(
                f"{endpoint.address} takes {missing[0]!r}, and the rows have no such column.",
                hint=f"it takes {', '.join(each.name for each in info.inputs)}",
            )
        return Request(method="PREDICT", url=endpoint.address, body=(memoryview(as_stream(rows)),))

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """The outputs; raises InvalidAnswer where they are not one a row."""
        outputs = read_stream(response.body)
        if outputs.num_rows != rows.num_rows:
            raise InvalidAnswer(
                f"{endpoint.address} gave {outputs.num_rows} predictions for {rows.num_rows} rows.",
                hint="let the model return one prediction a row, in their order",
            )
        return Answer(outputs=outputs, version=response.headers.get("version", ""))

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """None: what went wrong was raised."""
        return None


def as_stream(rows: pa.RecordBatch) -> pa.Buffer:
    """A batch as an IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return sink.getvalue()


def read_stream(body: bytes | bytearray | memoryview) -> pa.RecordBatch:
    """The batch of an IPC stream."""
    return pa.ipc.open_stream(pa.py_buffer(body)).read_next_batch()
