"""What a protocol is: the words of one family of model servers, without any input or output.

A protocol turns rows into a request and an answer into rows; a transport carries them
(`transport.py`), and all that makes a call robust stands above both (`client.py`). So one file
says everything about a server family, and is tested with bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from backbeat.errors import BackbeatError
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Answer", "Field", "ModelInfo", "ModelProtocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input or output of a model as its server declares it.

    Args:
        name: As the server calls it.
        datatype: In the words of the Open Inference Protocol: `FP32`, `INT64`, `BYTES`, ...
        shape: Of one request; -1 where any size goes. The first is the number of rows.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a server says about a model; empty where its protocol has no words for it.

    Args:
        name: The model's name.
        version: Its version.
        server: Name and version of the server.
        inputs: What it takes.
        outputs: What it gives.
        extensions: Extensions of the protocol that the server says it has.
        preferred_rows: Rows of a request that the server likes best, 0 where it does not say.
    """

    name: str = ""
    version: str = ""
    server: str = ""
    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    extensions: frozenset[str] = frozenset()
    preferred_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said about the rows of one request.

    Args:
        outputs: One row for each row of the request, one column for each output; a vector is a
            FixedSizeList.
        model: The model's name, where the answer says it.
        version: The model's version, where the answer says it.
        request_id: What the server calls this request.
        usage: Counted by the server: `input_tokens`, `output_tokens`.
    """

    outputs: pa.RecordBatch
    model: str = ""
    version: str = ""
    request_id: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)


class ModelProtocol(Protocol):
    """The verbs of a server family; every one is a pure function of its arguments.

    Register one of your own under the entry point group `backbeat.inference_protocols`, named as
    its addresses begin.
    """

    transports: frozenset[str]
    """Of `http`, `https`, `grpc`, `grpcs`."""

    def rows_a_request(self, endpoint: Endpoint) -> int:
        """Most rows that one request can hold; 0 where there is no limit."""

    def check(self, endpoint: Endpoint) -> None:
        """Raise InvalidStep where an address is not one of this protocol, and say what is."""

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask whether the model, not only the server, can answer."""

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """Whether it can; raises what `failure` gives where asking was refused."""

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask what the model takes and gives; None where the protocol has no such question."""

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """What the server says about the model."""

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as a request; raises ContractBroken where they are not what the model takes.

        A `pyarrow.binary` column whose field's metadata has `media_type` (`image/png`,
        `audio/wav`, ...) is a document. `parameters` are the model's own, such as a temperature.
        """

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """A good answer as rows, in the order of the request's.

        Raises:
            InvalidAnswer: It is cut, of another type or of another number of rows.
            InvalidData: It says that the model does not take these rows.
        """

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """What a bad answer means, None where it is a good one.

        The model is unknown: NotFound. It does not take these rows: InvalidData. The server
        does not know who asks, or refuses: Refused. It has too much to do, or the model is
        starting: Overloaded, with Retry-After. It is ill: Unreachable. Text of the server is cut
        to a few hundred characters.
        """
