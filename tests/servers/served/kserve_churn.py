"""The model behind KServe's SDK: python kserve_churn.py --http_port=PORT ..."""

from __future__ import annotations

import argparse
from typing import Any

import models
import numpy as np
from kserve import InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    ModelServer().start([Churn()])
