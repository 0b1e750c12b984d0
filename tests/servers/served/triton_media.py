"""A model of bytes in Triton's Python backend."""

from __future__ import annotations

from typing import Any

import media_facts
import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Says what each value is."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Length, digest, width and height of each value."""
        answers = []
        for request in requests:
            values = triton.get_input_tensor_by_name(request, "scan").as_numpy().reshape(-1)
            found = [media_facts.facts(bytes(value)) for value in values]
            digests = np.array([row["sha256"] for row in found], dtype=object).reshape(-1, 1)
            tensors = [triton.Tensor("sha256", digests)]
            for name in ("bytes", "width", "height"):
                numbers = np.array([row[name] for row in found], dtype=np.int64).reshape(-1, 1)
                tensors.append(triton.Tensor(name, numbers))
            answers.append(triton.InferenceResponse(output_tensors=tensors))
        return answers
