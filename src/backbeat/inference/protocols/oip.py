"""The Open Inference Protocol, which is KServe's V2: Triton, KServe, MLServer, Seldon's V2.

    oip+http://host:8000/v2/models/churn                 the newest version
    oip+http://host:8000/v2/models/churn/versions/3      this one
    oip+grpc://host:8001/churn                           the same over gRPC, and /churn/versions/3

Over REST tensors go as bytes where the server reads them: Triton says so, KServe reads them and
does not say so. `?binary=yes` and `?binary=no` decide it. JSON has no word for NaN; bytes have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from backbeat.errors import (
    BackbeatError,
    InvalidData,
    InvalidStep,
    NotFound,
    Overloaded,
    Unreachable,
)
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols.failures import http_failure, retry_after
from backbeat.inference.protocols.grpc_failures import grpc_failure
from backbeat.inference.protocols.http_json import HttpJson, get
from backbeat.inference.protocols.json_answers import read_json
from backbeat.inference.protocols.oip_inputs import as_tensors
from backbeat.inference.protocols.oip_json import BINARY, read_metadata
from backbeat.inference.protocols.oip_rest import binary_request, json_request, read_answer
from backbeat.inference.protocols.oip_tensors import as_columns

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OpenInference"]

_GRPC_PATH = re.compile(r"/(?P<name>[^/]+)(/versions/(?P<version>[^/]+))?")
_BINARY = ("auto", "yes", "no")
# KServe answers 400 while a model that was scaled to zero starts; Triton 404 while one is loaded,
# and of one that could not be loaded
_STARTING = re.compile(
    r"\bmodel\b.*\b(not (yet )?ready|is loading|no available versions)\b", re.IGNORECASE
)
# KServe's SDK answers 500 where a model that wants text gets bytes: asking again does not help
_NO_BYTES = re.compile(r"Failed to (en|de)code .* using UTF-8", re.IGNORECASE)


class OpenInference(HttpJson):
    """The verbs, over REST and over gRPC."""

    transports = frozenset({"http", "https", "grpc", "grpcs"})
    path: ClassVar[re.Pattern[str]] = re.compile(
        r"(?P<model>(/[^/]+)*/v2/models/(?P<name>[^/]+)(/versions/(?P<version>[^/]+))?)(/infer)?"
    )
    example: ClassVar[str] = "oip+http://host:8000/v2/models/churn or oip+grpc://host:8001/churn"
    options: ClassVar[frozenset[str]] = frozenset({"binary"})

    def check(self, endpoint: Endpoint) -> None:
        """Raise InvalidStep where an address is not one of this protocol, and say what is."""
        super().check(endpoint)
        binary = endpoint.options.get("binary", "auto")
        if binary not in _BINARY or (_grpc(endpoint) and binary != "auto"):
            raise InvalidStep(
                f"{endpoint.address!r} asks for binary={binary}.",
                hint="over REST write yes or no, or leave it out; over gRPC it is always binary",
            )

    def named(self, endpoint: Endpoint) -> dict[str, str]:
        """What the path of an address names; raises InvalidStep where it is no such path."""
        if not _grpc(endpoint):
            return super().named(endpoint)
        found = _GRPC_PATH.fullmatch(endpoint.path)
        if found is None:
            raise InvalidStep(
                f"{endpoint.path or '/'} is no path of {endpoint.protocol} over gRPC.",
                hint=f"write {self.example}",
            )
        return found.groupdict(default="")

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask whether this model, in this version, can answer."""
        if _grpc(endpoint):
            from backbeat.inference.protocols.oip_grpc import question

            return question("ModelReady", *self._model(endpoint))
        return get(f"{self._url(endpoint)}/ready")

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """Whether it can; raises what `failure` gives where asking was refused."""
        failure = self.failure(endpoint, response)
        # Triton and KServe answer 400 or 503 of a model that is there and not ready
        if isinstance(failure, InvalidData) or (failure is not None and failure.retryable):
            return False
        if failure is not None:
            raise failure
        if _grpc(endpoint):
            from backbeat.inference.protocols.oip_grpc import read_ready

            return read_ready(endpoint, response)
        # KServe says so in JSON, Triton by its status; a login page says neither
        said = read_json(endpoint, response) if response.body else None
        return not isinstance(said, Mapping) or str(said.get("ready")).lower() != "false"

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask for the model's metadata."""
        if _grpc(endpoint):
            from backbeat.inference.protocols.oip_grpc import question

            return question("ModelMetadata", *self._model(endpoint))
        return get(self._url(endpoint))

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """Name, version, inputs and outputs; the version is empty where several are served."""
        if _grpc(endpoint):
            from backbeat.inference.protocols import oip_grpc

            failure = self.failure(endpoint, response)
            if failure is not None:
                raise failure
            return oip_grpc.read_metadata(endpoint, response)
        return read_metadata(endpoint, self.good_json(endpoint, response))

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as the tensors that the model declares; see `oip_inputs.as_tensors`."""
        tensors = as_tensors(info, rows)
        if _grpc(endpoint):
            from backbeat.inference.protocols.oip_grpc import infer_request

            return infer_request(*self._model(endpoint), tensors, parameters)
        wanted = endpoint.options.get("binary", "auto")
        binary = BINARY in info.extensions if wanted == "auto" else wanted == "yes"
        made = binary_request if binary else json_request
        return made(f"{self._url(endpoint)}/infer", tensors, parameters)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """The answer's tensors as columns, a row for each that was asked about."""
        if _grpc(endpoint):
            from backbeat.inference.protocols import oip_grpc

            found, tensors = oip_grpc.read_answer(endpoint, response)
            name, version, server_id = found.model_name, found.model_version, found.id
        else:
            head, tensors = read_answer(endpoint, response)
            name = str(head.get("model_name") or "")
            version = str(head.get("model_version") or "")
            server_id = str(head.get("id") or "")
        return Answer(
            outputs=as_columns(endpoint, info.outputs, tensors, rows.num_rows),
            model=name,
            version=version,
            request_id=server_id,
        )

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """By its status; a 400 or 404 of a model that is starting is no fault of anybody's."""
        failed = grpc_failure if _grpc(endpoint) else http_failure
        failure = failed(endpoint, response)
        if isinstance(failure, Unreachable) and _NO_BYTES.search(failure.message):
            return InvalidData(
                failure.message, hint="the model of this server takes text, no bytes"
            )
        if isinstance(failure, InvalidData | NotFound) and _STARTING.search(failure.message):
            return Overloaded(
                failure.message,
                hint="wait until the model has started; the server's log says whether it can",
                retry_after=retry_after(response),
            )
        return failure

    def _url(self, endpoint: Endpoint) -> str:
        return f"{endpoint.origin}{self.named(endpoint)['model']}"

    def _model(self, endpoint: Endpoint) -> tuple[str, str]:
        named = self.named(endpoint)
        return named["name"], named["version"]


def _grpc(endpoint: Endpoint) -> bool:
    return endpoint.transport.startswith("grpc")
