"""A model of bytes behind MLServer."""

from __future__ import annotations

import media_facts
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Media(MLModel):
    """Says what each value is."""

    async def load(self) -> bool:
        """There is nothing to load."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Length, digest, width and height of each value."""
        found = [media_facts.facts(bytes(value)) for value in payload.inputs[0].data]
        outputs = [StringCodec.encode_output("sha256", [str(row["sha256"]) for row in found])]
        for name in ("bytes", "width", "height"):
            numbers = np.array([row[name] for row in found], np.int64)
            outputs.append(NumpyCodec.encode_output(name, numbers.reshape(-1, 1)))
        return InferenceResponse(model_name=self.name, outputs=outputs)
