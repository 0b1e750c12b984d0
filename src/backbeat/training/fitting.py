"""Calling the user's training function, and refusing what could not be scored later."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from backbeat.errors import BackbeatError, InvalidData, UserCodeFailed

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.dataset as ds

__all__ = ["Trained", "check_scoreable", "fit"]


@dataclass(frozen=True)
class Trained:
    """What a training function may return instead of a bare model.

    Args:
        model: A fitted model with `predict` or `predict_proba`.
        metrics: Numbers to log, such as the loss on rows that were held out.
        params: What the training settled on, such as the best depth; logged beside those given.
    """

    model: Any
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


def fit(
    function: Callable[..., Any],
    *,
    data: Mapping[str, ds.Dataset],
    params: Mapping[str, Any],
    threads: int | None = None,
) -> Trained:
    """Call a training function as `function(data, params)`.

    Args:
        function: The user's own; returns a fitted model or a `Trained`.
        data: Open `pyarrow.dataset.Dataset`s by name.
        params: Parameters; the function gets a dict of its own.
        threads: Upper limit for BLAS and OpenMP while it runs, where threadpoolctl is installed
            (it is, beside scikit-learn); their own choice where None.

    Raises:
        UserCodeFailed: The function raised, or returned no model; a retry will not help.
        BackbeatError: The function raised an error of backbeat, which says if a retry helps.
    """
    name = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__name__)}"
    try:
        with _threads(threads):
            returned = function(dict(data), dict(params))
    except BackbeatError:
        raise
    except Exception as error:
        raise UserCodeFailed(
            f"{name} raised {type(error).__name__}: {error}.",
            hint="the traceback above is of the function itself; run it on this data by hand",
        ) from error
    trained = returned if isinstance(returned, Trained) else Trained(returned)
    if not any(hasattr(trained.model, method) for method in ("predict", "predict_proba")):
        what = "None" if trained.model is None else f"a {type(trained.model).__name__}"
        raise UserCodeFailed(
            f"{name} returned {what}, which has neither `predict` nor `predict_proba`.",
            hint="return the fitted model, or backbeat.training.Trained(model, metrics=...)",
        )
    return Trained(trained.model, _numbers(name, trained.metrics), dict(trained.params))


def check_scoreable(
    model: Any, sample: pd.DataFrame, predict: Literal["predict", "predict_proba"]
) -> None:
    """Score a sample, so that a model that cannot be scored fails now and not in the night.

    Args:
        model: A fitted model.
        sample: A few input rows, `pandas.DataFrame` of the feature columns.
        predict: The method that scoring will call.

    Raises:
        UserCodeFailed: The method is missing or raises, does not give one finite number a row, or
            gives probabilities outside of 0 to 1.
    """
    from backbeat.inference.scores import as_scores

    what = f"{type(model).__name__}.{predict}"
    method = getattr(model, predict, None)
    if method is None:
        raise UserCodeFailed(
            f"The trained {type(model).__name__} has no `{predict}`.",
            hint="return a model that has it, or set the step's `predict` to the other method",
        )
    try:
        scores = as_scores(method(sample), len(sample))
    except InvalidData as error:
        raise UserCodeFailed(
            f"{what} cannot be used for scoring: {error.message}",
            hint=error.hint or "return a model that gives one number a row",
        ) from error
    except Exception as error:
        raise UserCodeFailed(
            f"{what} raised {type(error).__name__} on {len(sample)} rows of the data: {error}.",
            hint="return a fitted model that takes the feature columns as a data frame",
        ) from error
    if predict == "predict_proba" and len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise UserCodeFailed(
            f"{what} gave {scores.min():g} to {scores.max():g}, which are no probabilities.",
            hint="set the step's `predict` to `predict`, or calibrate the model",
        )


def _numbers(name: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    try:
        numbers = {key: float(value) for key, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise UserCodeFailed(
            f"{name} returned a metric that is no number: {error}.",
            hint="return metrics as a dict of name to float",
        ) from error
    odd = sorted(key for key, value in numbers.items() if not math.isfinite(value))
    if odd:
        raise UserCodeFailed(
            f"{name} returned metrics that are not finite: {', '.join(odd)}.",
            hint="leave out what could not be computed",
        )
    return numbers


@contextmanager
def _threads(limit: int | None) -> Iterator[None]:
    try:
        threadpoolctl = import_module("threadpoolctl")
    except ImportError:
        yield
        return
    with threadpoolctl.threadpool_limits(limits=limit):
        yield
