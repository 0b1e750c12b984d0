"""The model behind KServe's SDK: python kserve_churn.py --http_port=PORT ..."""

from __future__ import annotations

import argparse
from base64 import b64decode
from typing import Any

import media_facts
import models
import numpy as np
from grpc import aio
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    add_GRPCInferenceServiceServicer_to_server,
)
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.utils.utils import get_predict_input, get_predict_response


class Churn(Model):
    """The one model of all servers."""

    def __init__(self) -> None:
        super().__init__(models.NAME)
        self.ready = True

    async def get_input_types(self) -> list[dict[str, Any]]:
        """What it takes, for V2."""
        shape = [-1, len(models.FEATURES)]
        return [{"name": "rows", "datatype": "FP64", "shape": shape}]

    async def predict(
        self, payload: Any, headers: Any = None, response_headers: Any = None
    ) -> dict[str, Any] | InferResponse:
        """One output a row; what the model does not take is the caller's fault."""
        try:
            scores = models.score(np.asarray(_rows(payload), dtype=np.float64))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(str(error)) from error
        return get_predict_response(payload, scores, models.NAME)


def _rows(payload: Any) -> Any:
    if isinstance(payload, InferRequest):
        return get_predict_input(payload)
    # the SDK's own reading of records wants a list for each value
    return [
        [instance[name] for name in models.FEATURES] if isinstance(instance, dict) else instance
        for instance in payload["instances"]
    ]


class Media(Model):
    """Says what each value is: of V1 as base64, of V2 as bytes."""

    def __init__(self) -> None:
        super().__init__("media")
        self.ready = True

    async def get_input_types(self) -> list[dict[str, Any]]:
        """What it takes, for V2."""
        return [{"name": "scan", "datatype": "BYTES", "shape": [-1]}]

    async def predict(
        self, payload: Any, headers: Any = None, response_headers: Any = None
    ) -> dict[str, Any] | InferResponse:
        """Length, digest, width and height of each value."""
        if not isinstance(payload, InferRequest):
            given = [each.get("scan", each) for each in payload["instances"]]
            values = [b64decode(each["b64"], validate=True) for each in given]
            return {"predictions": [media_facts.facts(value) for value in values]}
        values = payload.inputs[0].as_numpy()
        # over REST bytes have become text
        found = [
            media_facts.facts(value.encode() if isinstance(value, str) else bytes(value))
            for value in values
        ]
        outputs = []
        for name in ("sha256", "bytes", "width", "height"):
            kind = object if name == "sha256" else np.int64
            output = InferOutput(name, [len(found)], "BYTES" if kind is object else "INT64")
            output.set_data_from_numpy(np.array([row[name] for row in found], kind), False)  # noqa: FBT003 - as KServe has it
            outputs.append(output)
        return InferResponse(payload.id or "", "media", outputs)


class Loopback(GRPCServer):
    """KServe's own service; its server listens on every interface and cannot be told otherwise."""

    async def start(self, max_workers: int) -> None:
        self._server = aio.server(interceptors=(ExceptionToStatusInterceptor(),))
        service = InferenceServicer(self._data_plane, self._model_repository_extension)
        add_GRPCInferenceServiceServicer_to_server(service, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()
        await self._server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    model_server.GRPCServer = Loopback
    ModelServer().start([Churn(), Media()])
