"""The model behind MLServer."""

from __future__ import annotations

import models
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse


class Churn(MLModel):
    """The one model of all servers."""

    async def load(self) -> bool:
        """There is nothing to load."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One score a row; what the model does not take is the caller's fault."""
        try:
            scores = models.score(NumpyCodec.decode_input(payload.inputs[0]))
        except (TypeError, ValueError) as error:
            raise InferenceError(str(error)) from error
        output = NumpyCodec.encode_output("score", scores.reshape(-1, 1))
        return InferenceResponse(model_name=self.name, outputs=[output])
