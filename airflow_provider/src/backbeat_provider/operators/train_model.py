"""TrainModelOperator: the team's own training function, its model logged once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["TrainModelOperator"]


class TrainModelOperator(StepOperator):
    """Train by import path, check that the model can be scored, and log it as one run.

    Args:
        function: `package.module:function`, called as `function(data, params)`.
        data: What it is trained on, by name: URIs, or the fields of `Dataset`s.
        features: The model's input columns.
        train_params: Handed to the function and logged.
        experiment: Experiment that the run belongs to.
        predict: The method that scores: `predict_proba` for classifiers, `predict` for regressors.

    Output: `run_id`, `model_uri`, `trained_through`, `reused`.
    """

    step_kind = "model.train/v1"
    template_fields: Sequence[str] = (
        "function",
        "data",
        "features",
        "train_params",
        "experiment",
        "predict",
        "backbeat_conn_id",
    )
    template_fields_renderers = {  # noqa: RUF012
        "data": "json",
        "features": "json",
        "train_params": "json",
    }

    def __init__(
        self,
        *,
        function: Templated[str],
        data: Templated[Mapping[str, DatasetFields]],
        features: Templated[Sequence[str]],
        train_params: Templated[Mapping[str, Any] | None] = None,
        experiment: Templated[str] = "backbeat",
        predict: Templated[Literal["predict", "predict_proba"]] = "predict_proba",
        **kwargs: Any,
    ) -> None:
        self.function = function
        self.data = data
        self.features = features
        self.train_params = train_params
        self.experiment = experiment
        self.predict = predict
        super().__init__(**kwargs)
