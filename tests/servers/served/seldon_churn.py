"""The model behind Seldon's wrapper, as the application that its own server program runs."""

from __future__ import annotations

from collections.abc import Sequence

import models
import numpy as np
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.metrics import SeldonMetrics
from seldon_core.wrapper import get_rest_microservice


class Churn:
    def predict(self, rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Two outputs a row; what the model does not take is the caller's fault."""
        try:
            scores = models.score(np.asarray(rows, dtype=np.float64))
        except ValueError as error:
            raise SeldonMicroserviceException(str(error)) from error
        return np.column_stack([scores, models.label(scores)])

    def class_names(self) -> list[str]:
        return ["score", "label"]

    def init_metadata(self) -> dict[str, object]:
        return {
            "name": models.NAME,
            "versions": [models.VERSION],
            "platform": "numpy",
            "inputs": [
                {
                    "messagetype": "ndarray",
                    "schema": {"names": [*models.FEATURES], "shape": [len(models.FEATURES)]},
                }
            ],
            "outputs": [
                {"messagetype": "ndarray", "schema": {"names": ["score", "label"], "shape": [2]}}
            ],
        }


app = get_rest_microservice(Churn(), SeldonMetrics())
