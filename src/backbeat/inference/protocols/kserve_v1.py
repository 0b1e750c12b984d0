"""KServe's V1 protocol, which is TensorFlow Serving's: `:predict` and a list of instances.

    kserve-v1+http://host:8080/v1/models/churn
    kserve-v1+http://host:8501/v1/models/churn/versions/3
    kserve-v1+http://host:8080/v1/models/churn?rows=records

An instance is the list of a row's values, or a record of them with `?rows=records`; of a single
column of lists or of bytes it is the value itself. Bytes are `{"b64": ...}`, as TensorFlow Serving
has them (https://www.tensorflow.org/tfx/serving/api_rest). https://kserve.github.io/website/docs/concepts/architecture/
data-plane/v1-protocol
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.errors import BackbeatError, InvalidData, Overloaded
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols.failures import retry_after, said
from backbeat.inference.protocols.http_json import HttpJson, get, rows_as
from backbeat.inference.protocols.json_answers import as_outputs, member, read_json
from backbeat.inference.protocols.json_rows import as_lists, json_request

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KServeV1"]

_STARTING = re.compile(r"\bnot (yet )?ready\b", re.IGNORECASE)


class KServeV1(HttpJson):
    """KServe's V1 protocol."""

    path = re.compile(
        r"(?P<model>.*/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>[0-9]+))?)(:predict)?"
    )
    example = "kserve-v1+http://<host>:<port>/v1/models/<name>"
    options = frozenset({"rows"})

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask for the model's status."""
        return get(endpoint.origin + self.named(endpoint)["model"])

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """Whether it says so: KServe by `"True"` or `true`, TensorFlow Serving by a state."""
        if not super().read_ready(endpoint, response):
            return False
        status = read_json(endpoint, response)
        if isinstance(status, Mapping) and "model_version_status" in status:
            return bool(_available(status["model_version_status"]))
        return str(member(endpoint, status, "ready")).lower() == "true"

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask for the model's status: no version of the protocol tells more."""
        return self.ready(endpoint)

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """The model's name; its version where the server is TensorFlow's."""
        status = self.good_json(endpoint, response)
        found = status if isinstance(status, Mapping) else {}
        versions = _available(found.get("model_version_status"))
        return ModelInfo(
            name=str(found.get("name") or self.named(endpoint)["name"]),
            version=versions[0] if len(versions) == 1 else "",
        )

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as `instances`; parameters lie beside them under `parameters`."""
        body: dict[str, Any] = {"instances": rows_as(endpoint, as_lists)(rows)}
        if parameters:
            body["parameters"] = dict(parameters)
        return json_request(f"{endpoint.origin}{self.named(endpoint)['model']}:predict", body, rows)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """`predictions` as rows."""
        predictions = member(endpoint, read_json(endpoint, response), "predictions")
        return Answer(
            outputs=as_outputs(endpoint, predictions, rows.num_rows),
            version=self.named(endpoint)["version"],
            request_id=response.headers.get("x-request-id", ""),
        )

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """By its status, but a 400 of a model that is not ready is no fault of the rows."""
        failure = super().failure(endpoint, response)
        if isinstance(failure, InvalidData) and _STARTING.search(said(response)):
            return Overloaded(
                failure.message,
                hint="wait until the model has started",
                retry_after=retry_after(response),
            )
        return failure


def _available(states: Any) -> list[str]:
    return [
        str(state.get("version", ""))
        for state in (states if isinstance(states, list) else [])
        if isinstance(state, Mapping) and state.get("state") == "AVAILABLE"
    ]
