"""The model as a BentoML service, with one method a kind of input."""

from __future__ import annotations

import bentoml
import bentoml_media
import models
import numpy as np
import pydantic


class Row(pydantic.BaseModel):
    a: float
    b: float
    c: float
    d: float


@bentoml.service(name="churn")
class Churn(bentoml_media.MediaMethods):
    @bentoml.api
    def classify(self, rows: np.ndarray) -> np.ndarray:
        """Rows as an array: a list of lists."""
        try:
            return models.score(rows)
        except (TypeError, ValueError) as error:
            raise bentoml.exceptions.InvalidArgument(str(error)) from error

    @bentoml.api
    def explain(self, rows: list[Row], threshold: float = 0.5) -> list[dict[str, float]]:
        """Rows by their columns' names, and a parameter beside them."""
        scores = models.score(np.array([[row.a, row.b, row.c, row.d] for row in rows]))
        return [{"score": score, "label": float(score >= threshold)} for score in scores.tolist()]
