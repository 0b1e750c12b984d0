"""MLflow's scoring server, and what speaks as it does: `/invocations` and a split data frame.

    mlflow+http://host:5000/invocations
    mlflow+https://gateway/serving-endpoints/churn/invocations

Bytes are sent as the text of their base64, which the server decodes for a column of binary.
https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.errors import BackbeatError
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols.failures import http_failure
from backbeat.inference.protocols.http_json import HttpJson, get
from backbeat.inference.protocols.json_answers import as_outputs, member, read_json
from backbeat.inference.protocols.json_rows import as_table, json_request
from backbeat.inference.protocols.reasons import reason, told
from backbeat.inference.protocols.said import one_line, said

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MLflow"]

# what MLflow puts a data frame, a value or the request itself behind
_REPEATED = re.compile(r"(?: of| predict)? data '|\s*Error: |\s*Input:")
# the sentences of a signature that is not kept: they name columns and types
_SIGNATURE = re.compile(
    r"(?:Model is missing inputs|Incompatible input types for column|Expected \d+ inputs) .*"
)


class MLflow(HttpJson):
    """MLflow's scoring protocol 2.0."""

    path = re.compile(r"(?P<root>.*)/invocations")
    example = "mlflow+http://<host>:<port>/invocations"

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask whether the model is loaded: the server answers only then."""
        return get(self.root(endpoint) + "/ping")

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask for MLflow's version; the model's signature is not told."""
        return get(self.root(endpoint) + "/version")

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """MLflow's version; nothing where whoever speaks its protocol has none."""
        if self.failure(endpoint, response) is not None:
            return ModelInfo()
        # said to be JSON, and is the bare version
        return ModelInfo(server=f"mlflow {said(response)}")

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as `dataframe_split`; parameters are the signature's `params`."""
        frame = {"columns": rows.schema.names, "data": as_table(rows, text_of_bytes=True)}
        body: dict[str, Any] = {"dataframe_split": frame}
        if parameters:
            body["params"] = dict(parameters)
        return json_request(endpoint.url, body, rows)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """`predictions` as rows."""
        predictions = member(endpoint, read_json(endpoint, response), "predictions")
        return Answer(
            outputs=as_outputs(endpoint, predictions, rows.num_rows),
            request_id=response.headers.get("x-request-id", ""),
        )

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """By its status; what MLflow repeats of the rows, and its traceback, are left out."""
        return http_failure(endpoint, response, why=_why)


def _why(response: Response) -> str:
    found = told(response) or {}
    message, code = found.get("message"), found.get("error_code")
    if not isinstance(message, str) or not isinstance(code, str):
        return reason(response)
    # of several the last: what stands before it may be a row that says the same
    signature = _SIGNATURE.search(message.rpartition("Error: ")[2])
    kept = signature[0] if signature else _REPEATED.split(message, maxsplit=1)[0]
    sort = found.get("error_class", "")
    return one_line(f"{code} ({sort}): {kept}" if sort and sort != code else f"{code}: {kept}")
