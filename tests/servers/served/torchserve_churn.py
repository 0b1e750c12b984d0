"""The model as a TorchServe handler: the rows of one request in, an answer for each of them out."""

from __future__ import annotations

import json
from typing import Any

import models
import numpy as np
from ts.utils.util import PredictionException


class Churn:
    def initialize(self, context: Any) -> None:
        """Nothing to load: the model is code."""
        self.initialized = True

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[Any]:
        """Answer a batch of requests; each holds a list of records.

        A row that is no list of numbers raises what it raises, as handlers do: TorchServe says 503.
        """
        return [_scored(request.get("body") or request.get("data")) for request in data]


def _scored(body: Any) -> list[dict[str, float]]:
    records = body if isinstance(body, list) else json.loads(body)
    missing = {name for name in models.FEATURES for record in records if name not in record}
    if missing:
        raise PredictionException(f"the rows have no {', '.join(sorted(missing))}", 400)
    rows = np.array([[record[name] for name in models.FEATURES] for record in records])
    scores = models.score(rows.astype(np.float64))
    labels = models.label(scores)
    return [
        {"score": score, "label": label}
        for score, label in zip(scores.tolist(), labels.tolist(), strict=True)
    ]
