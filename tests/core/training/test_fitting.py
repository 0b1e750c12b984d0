from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from threadpoolctl import threadpool_info

from backbeat.errors import Unreachable, UserCodeFailed
from backbeat.training import Trained, check_scoreable, fit

FRAME = pd.DataFrame({"hour": [1.0, 5.0, 13.0, 20.0], "wind": [3.0, 9.0, 4.0, 8.0]})
LATE = [0, 0, 1, 1]


@pytest.fixture
def data() -> dict[str, ds.Dataset]:
    """Four flights as an open dataset."""
    table = pa.Table.from_pandas(FRAME.assign(late=LATE))
    return {"flights": ds.dataset(table)}


class Fixed:
    """A model that gives what it was made with."""

    def __init__(self, prediction: Any) -> None:
        self.prediction = prediction

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.prediction

    predict_proba = predict


def test_the_function_gets_data_and_params(data: dict[str, ds.Dataset]) -> None:
    """A bare model comes back as a Trained without metrics."""

    def train(data: Any, params: Any) -> LogisticRegression:
        frame = data["flights"].to_table().to_pandas()
        return LogisticRegression(C=params["C"]).fit(frame[["hour", "wind"]], frame["late"])

    trained = fit(train, data=data, params={"C": 2.0})
    assert trained.model.C == 2.0
    assert (trained.metrics, trained.params) == ({}, {})
    check_scoreable(trained.model, FRAME, "predict_proba")


def test_a_trained_keeps_metrics_and_params(data: dict[str, ds.Dataset]) -> None:
    """Metrics become floats, whatever numbers they were."""
    given = Trained(Fixed([1]), metrics={"auc": np.float32(0.5)}, params={"depth": 3})
    trained = fit(lambda data, params: given, data=data, params={})
    assert trained.metrics == {"auc": 0.5}
    assert type(trained.metrics["auc"]) is float
    assert trained.params == {"depth": 3}


def test_the_function_cannot_change_the_steps_params(data: dict[str, ds.Dataset]) -> None:
    """It gets a dict of its own."""
    params = {"depth": 3}

    def train(data: Any, params: Any) -> Fixed:
        params.clear()
        return Fixed([1])

    fit(train, data=data, params=params)
    assert params == {"depth": 3}


def test_what_the_function_raises_is_told(data: dict[str, ds.Dataset]) -> None:
    """Type, message and traceback of the user's own exception are kept."""

    def train(data: Any, params: Any) -> None:
        raise ValueError("no rows of class 1")

    with pytest.raises(UserCodeFailed, match="raised ValueError: no rows of class 1") as caught:
        fit(train, data=data, params={})
    assert isinstance(caught.value.__cause__, ValueError)
    assert "test_fitting:" in caught.value.message


def test_an_error_of_backbeat_goes_through(data: dict[str, ds.Dataset]) -> None:
    """A function that reports an unreachable feature store is retried, not condemned."""

    def train(data: Any, params: Any) -> None:
        raise Unreachable("the feature store did not answer")

    with pytest.raises(Unreachable):
        fit(train, data=data, params={})


@pytest.mark.parametrize(
    ("returned", "what"), [(None, "None"), ({}, "a dict"), (Trained(3), "a int")]
)
def test_what_is_no_model_is_refused(data: dict[str, ds.Dataset], returned: Any, what: str) -> None:
    """A function that forgot to return its model hears so."""
    with pytest.raises(UserCodeFailed, match=f"returned {what}, which has neither"):
        fit(lambda data, params: returned, data=data, params={})


@pytest.mark.parametrize("metric", [float("nan"), float("inf"), "good", None])
def test_a_metric_that_is_no_number_is_refused(data: dict[str, ds.Dataset], metric: Any) -> None:
    """Neither NaN nor text is logged as a metric."""
    with pytest.raises(UserCodeFailed, match="metric"):
        fit(lambda data, params: Trained(Fixed([1]), {"auc": metric}), data=data, params={})


def test_threads_are_limited_during_the_fit_only(data: dict[str, ds.Dataset]) -> None:
    """Every BLAS and OpenMP pool has the limit inside, and its own size again outside."""
    seen: list[int] = []

    def train(data: Any, params: Any) -> Fixed:
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return Fixed([1])

    before = [pool["num_threads"] for pool in threadpool_info()]
    fit(train, data=data, params={}, threads=1)
    assert seen
    assert set(seen) == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_a_regressor_is_scored_by_predict() -> None:
    """Numbers outside of 0 to 1 are fine where no probability was asked for."""
    check_scoreable(LinearRegression().fit(FRAME, [10, 20, 30, 40]), FRAME, "predict")


def test_a_missing_method_is_refused() -> None:
    """A regressor has no probabilities."""
    line = LinearRegression().fit(FRAME, LATE)
    with pytest.raises(UserCodeFailed, match="no `predict_proba`"):
        check_scoreable(line, FRAME, "predict_proba")


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        ([0.1, 0.2, 0.3], "gave 3 for 4 rows"),
        (np.zeros((4, 3)), r"shape \(4, 3\)"),
        ([0.1, 0.2, 0.3, float("nan")], "NaN or an infinity for 1 of 4 rows"),
        (["on time"] * 4, "not made of numbers"),
        ([0.1, 0.2, 0.3, 1.5], "are no probabilities"),
        ([0.1, 0.2, 0.3, -0.5], "are no probabilities"),
    ],
)
def test_what_cannot_be_a_score_is_refused(prediction: Any, reason: str) -> None:
    """Shape, NaN, type and range are looked at before a model is logged."""
    with pytest.raises(UserCodeFailed, match=reason):
        check_scoreable(Fixed(prediction), FRAME, "predict_proba")


def test_an_unfitted_model_is_refused() -> None:
    """What the model raises on the sample is told."""
    with pytest.raises(UserCodeFailed, match="raised NotFittedError on 4 rows"):
        check_scoreable(LogisticRegression(), FRAME, "predict_proba")
