"""TorchServe: `/predictions`, and a second API that knows whether a worker is there to answer.

    torchserve+http://host:8080/predictions/churn
    torchserve+http://host:8080/predictions/churn/2?management=http://host:8081
    torchserve+http://host:8080/predictions/churn?management=&rows=lists
    torchserve+http://host:8080/predictions/resnet?rows=raw

With `?rows=raw` a request is one row, and its body the bytes of its binary column, as TorchServe's
own handlers of images and audio take them.

The management API is at port 8081 of the same host unless the address says otherwise; with
`?management=` it is not asked, and readiness is what `/ping` says, which is "Healthy" without a
single worker too. https://docs.pytorch.org/serve/rest_api.html
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from backbeat.contract.media import is_binary, media_type_of
from backbeat.errors import (
    BackbeatError,
    ContractBroken,
    InvalidAnswer,
    InvalidData,
    InvalidStep,
    Refused,
)
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols.http_json import HttpJson, get, no_parameters, rows_as
from backbeat.inference.protocols.json_answers import as_outputs, read_json
from backbeat.inference.protocols.json_rows import as_records, json_request

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TorchServe"]

_MANAGEMENT_PORT = 8081
_RAW = "raw"
_ORIGIN = re.compile(r"https?://[^/?#@]+/?")
# what TorchServe says, with 503, of a handler that raised
_HANDLER_RAISED = "Prediction failed"
_HANDLER_RETURNED = frozenset(
    {"Invalid model predict output", "number of batch response mismatched"}
)


class TorchServe(HttpJson):
    """TorchServe's inference and management APIs."""

    path = re.compile(r".*/predictions/(?P<model>(?P<name>[^/]+)(/(?P<version>[^/]+))?)")
    example = "torchserve+http://<host>:8080/predictions/<name>?management=http://<host>:8081"
    options = frozenset({"management", "rows"})

    def rows_a_request(self, endpoint: Endpoint) -> int:
        """One where a row is the whole body; else there is no limit."""
        return 1 if _raw(endpoint) else 0

    def check(self, endpoint: Endpoint) -> None:
        """Raise InvalidStep where an address is not one of this protocol, and say what is."""
        others = {name: said for name, said in endpoint.options.items() if name != "rows"}
        super().check(dataclasses.replace(endpoint, options=others) if _raw(endpoint) else endpoint)
        management = endpoint.options.get("management")
        if management and not _ORIGIN.fullmatch(management):
            raise InvalidStep(
                "The address of TorchServe's management API is no http://<host>:<port>.",
                hint=f"write {self.example}",
            )

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask the management API about the model's workers; the server where there is none."""
        return self.describe(endpoint) or get(endpoint.url.rpartition("/predictions/")[0] + "/ping")

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """Whether a worker is ready."""
        if not super().read_ready(endpoint, response):
            return False
        status = read_json(endpoint, response)
        try:
            if isinstance(status, Mapping):
                return bool(status["status"] == "Healthy")
            workers = [worker for version in status for worker in version["workers"]]
            return any(worker["status"] == "READY" for worker in workers)
        except (KeyError, TypeError) as error:
            raise _foreign(endpoint) from error

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask the management API; None where an address has none."""
        same_host = dataclasses.replace(endpoint, port=_MANAGEMENT_PORT).origin
        management = endpoint.options.get("management", same_host).rstrip("/")
        return get(f"{management}/models/{self.named(endpoint)['model']}") if management else None

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """The model's name and the version that answers."""
        found = self.good_json(endpoint, response)
        try:
            return ModelInfo(name=str(found[0]["modelName"]), version=str(found[0]["modelVersion"]))
        except (IndexError, KeyError, TypeError) as error:
            raise _foreign(endpoint) from error

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as a JSON list, which the handler finds as the request's `body`; or one's bytes."""
        no_parameters(endpoint, parameters)
        if _raw(endpoint):
            return _raw_request(endpoint, rows)
        return json_request(endpoint.url, rows_as(endpoint, as_records)(rows), rows)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """What the handler returned, with or without the envelope `predictions`, as rows."""
        said = read_json(endpoint, response)
        wrapped = isinstance(said, Mapping) and said.keys() == {"predictions"}
        found = said["predictions"] if wrapped else said
        return Answer(
            # the handler's answer to one request is the answer to its one row
            outputs=as_outputs(endpoint, [found] if _raw(endpoint) else found, rows.num_rows),
            version=self.named(endpoint)["version"],
            request_id=response.headers.get("x-request-id", ""),
        )

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """By its status, but a 503 may be a handler that raised, and a 400 a wrong token."""
        failure = super().failure(endpoint, response)
        if failure is None:
            return None
        told: Any = None
        with suppress(RecursionError, ValueError):
            told = json.loads(bytes(response.body))
        if not isinstance(told, Mapping):
            return failure
        if told.get("message") == _HANDLER_RAISED:
            return InvalidData(
                failure.message,
                hint="compare the rows with what the handler takes; its log has the traceback",
            )
        if told.get("message") in _HANDLER_RETURNED:
            return InvalidAnswer(
                failure.message, hint="let the handler return one answer for each request"
            )
        if told.get("type") == "InvalidKeyException":
            return Refused(
                failure.message, hint="give the connection the inference or management key"
            )
        return failure


def _raw(endpoint: Endpoint) -> bool:
    return endpoint.options.get("rows") == _RAW


def _raw_request(endpoint: Endpoint, rows: pa.RecordBatch) -> Request:
    binary = [field for field in rows.schema if is_binary(field.type)]
    if rows.num_rows != 1 or rows.num_columns != 1 or not binary:
        raise ContractBroken(
            f"A request with ?rows=raw is one row of one binary column, and there are "
            f"{rows.num_rows} rows of {', '.join(map(str, rows.schema.types)) or 'nothing'}.",
            hint="name that column in `features`, and ask about one row at a time",
        )
    value = rows.column(0)[0]
    if not value.is_valid:
        raise ContractBroken(
            f"Column {binary[0].name!r} is null, and there is nothing to send.",
            hint="leave such rows out",
        )
    headers = {
        "accept": "application/json",
        "content-type": media_type_of(binary[0]) or "application/octet-stream",
    }
    body = (memoryview(value.as_buffer()),)
    return Request(method="POST", url=endpoint.url, headers=headers, body=body)


def _foreign(endpoint: Endpoint) -> InvalidAnswer:
    return InvalidAnswer(
        f"What answers for {endpoint.authority} does not speak of models as TorchServe does.",
        hint="look whether management= is the address of the management API",
    )
