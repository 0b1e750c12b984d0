"""The model in Triton's Python backend."""

from __future__ import annotations

from typing import Any

import models
import triton_python_backend_utils as triton


class TritonPythonModel:
    """The one model of all servers."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """One score a row for each of the requests."""
        answers = []
        for request in requests:
            rows = triton.get_input_tensor_by_name(request, "rows").as_numpy()
            scores = models.score(rows).reshape(-1, 1)
            answers.append(
                triton.InferenceResponse(output_tensors=[triton.Tensor("score", scores)])
            )
        return answers
