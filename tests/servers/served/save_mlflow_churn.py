"""Saves the model as an MLflow model with a signature: python save_mlflow_churn.py FOLDER."""

from __future__ import annotations

import sys
from typing import Any

import mlflow
import models
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema


class Churn(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Two outputs a row."""
        scores = models.score(model_input[[*models.FEATURES]].to_numpy())
        return pd.DataFrame({"score": scores, "label": models.label(scores)})


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[1],
        python_model=Churn(),
        code_paths=[models.__file__],
        signature=ModelSignature(
            inputs=Schema([ColSpec("double", name) for name in models.FEATURES]),
            outputs=Schema([ColSpec("double", "score"), ColSpec("long", "label")]),
        ),
    )
