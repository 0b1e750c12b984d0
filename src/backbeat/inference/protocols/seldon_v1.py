"""Seldon Core v1: an ndarray and the names of its columns.

    seldon-v1+http://host:9000/api/v1.0/predictions
    seldon-v1+https://gateway/seldon/<namespace>/<deployment>/api/v1.0/predictions

https://docs.seldon.io/projects/seldon-core/en/latest/reference/apis/external-prediction.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.errors import BackbeatError, InvalidAnswer, NotFound, Unreachable
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, Field, ModelInfo
from backbeat.inference.protocols.failures import said
from backbeat.inference.protocols.http_json import HttpJson, get
from backbeat.inference.protocols.json_answers import OUTPUT, as_outputs, member, read_json
from backbeat.inference.protocols.json_rows import as_table, json_request

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SeldonV1"]

# its wrapper answers every exception with 500, those of an unknown path too
_UNKNOWN_PATH = re.compile(r'"info": ?"40[45] |MICROSERVICE_BAD_METADATA')
_FAILED = (1, "FAILURE")


class SeldonV1(HttpJson):
    """Seldon Core's v1 protocol, of a single model or of a graph."""

    path = re.compile(r"(?P<root>.*/api/v(1\.0|0\.1))/predictions")
    example = "seldon-v1+http://<host>:<port>/api/v1.0/predictions"

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask the model for its health; `/live` and `/ready` of the wrapper answer 500."""
        return get(self.root(endpoint) + "/health/status")

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask for the metadata of the model, or of the graph."""
        return get(self.root(endpoint) + "/metadata")

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """What its author wrote down; nothing where that is nothing."""
        try:
            found = self.good_json(endpoint, response)
        except NotFound:
            return ModelInfo()
        try:
            return ModelInfo(
                name=str(found.get("name", "")),
                version=str((found.get("versions") or [""])[-1]),
                server=str(found.get("platform", "")),
                inputs=_fields(found.get("inputs") or found.get("graphinputs") or []),
                outputs=_fields(found.get("outputs") or found.get("graphoutputs") or []),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidAnswer(
                f"{endpoint.authority} does not describe the model as Seldon does.",
                hint="look whether the address is one of Seldon Core v1",
            ) from error

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as an ndarray; parameters are tags, which the model finds in `meta`."""
        body: dict[str, Any] = {"data": {"names": rows.schema.names, "ndarray": as_table(rows)}}
        if parameters:
            body["meta"] = {"tags": dict(parameters)}
        return json_request(endpoint.url, body, rows)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """The answer's ndarray as rows: a column a name, or one of vectors without names."""
        message = read_json(endpoint, response)
        status = message.get("status") if isinstance(message, Mapping) else None
        if isinstance(status, Mapping) and status.get("status") in _FAILED:
            raise InvalidAnswer(
                f"{endpoint.authority} answered 200 and a failure: {said(response)}",
                hint="look at the log of the model in whose graph it is",
            )
        meta = message.get("meta") if isinstance(message, Mapping) else None
        meta = meta if isinstance(meta, Mapping) else {}
        model, version = _answered(meta.get("requestPath"))
        return Answer(
            outputs=as_outputs(endpoint, _named(endpoint, message), rows.num_rows),
            model=model,
            version=version,
            request_id=str(meta.get("puid") or response.headers.get("x-request-id", "")),
        )

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """By its status, but a 500 may be a path that the wrapper does not have."""
        failure = super().failure(endpoint, response)
        if isinstance(failure, Unreachable) and _UNKNOWN_PATH.search(said(response)):
            return NotFound(failure.message, hint="look at the path of the address")
        return failure


def _named(endpoint: Endpoint, message: Any) -> Any:
    if isinstance(message, Mapping) and "jsonData" in message:
        return message["jsonData"]
    data = member(endpoint, message, "data")
    values = member(endpoint, data, "ndarray")
    names = data.get("names") or []
    if not isinstance(values, list) or not isinstance(names, list):
        return values
    # the wrapper makes names up, t:0, t:1, ..., where the model has none
    given = [str(name) for name in names]
    if not given or given == [f"t:{number}" for number in range(len(given))]:
        return values
    if all(isinstance(row, list) and len(row) == len(given) for row in values):
        return [dict(zip(given, row, strict=True)) for row in values]
    return {given[0] if len(given) == 1 else OUTPUT: values}


def _answered(path: Any) -> tuple[str, str]:
    """Model and version, where one model alone answered: `{name: image:tag}`."""
    if not isinstance(path, Mapping) or len(path) != 1:
        return "", ""
    ((name, image),) = path.items()
    tag = str(image).rpartition("/")[2].partition(":")[2]
    return str(name), tag


def _fields(declared: list[dict[str, Any]]) -> tuple[Field, ...]:
    """Tensors as they are declared; of an array with named columns, a field a column."""
    found: list[Field] = []
    for tensor in declared:
        if "name" in tensor:
            shape = tuple(int(size) for size in tensor.get("shape", []))
            found.append(
                Field(name=tensor["name"], datatype=tensor.get("datatype", ""), shape=shape)
            )
        else:
            names = tensor.get("schema", {}).get("names", [])
            found.extend(Field(name=str(name), datatype="", shape=(-1,)) for name in names)
    return tuple(found)
