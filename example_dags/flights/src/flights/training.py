"""The team's own training function: gradient-boosted trees on six weeks of flights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import dataset as ds
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from flights.settings import CATEGORIES, FEATURES, KEY, LABEL, NUMBERS, TRAIN_PARAMS

__all__ = ["train"]


def train(data: Mapping[str, ds.Dataset], params: Mapping[str, Any]) -> Pipeline:
    """Fit the model that says how likely a flight is to arrive 15 or more minutes late.

    The fit is reproducible to the bit: one seed, one thread, rows in the order of their key.

    Args:
        data: `features` (schedules) and `labels`, joined on `flight_id`.
        params: `seed` and the trees' settings; what is left out is `settings.TRAIN_PARAMS`.

    Returns:
        A fitted pipeline that takes a data frame of `FEATURES` and has `predict_proba`; a
        category that it has not seen counts as missing.

    Raises:
        ValueError: No flight has both features and a label, or the labels are all alike.
        TypeError: A parameter that the trees do not know.
    """
    settings = {**TRAIN_PARAMS, **params}
    flights = _joined(data)
    if flights[LABEL].nunique() < 2:  # noqa: PLR2004
        raise ValueError(
            f"{len(flights)} labelled flights with {flights[LABEL].nunique()} kind(s) of label "
            "are nothing to learn from; check that schedules and labels are of the same days"
        )
    model = Pipeline(
        [
            ("columns", _columns()),
            (
                "trees",
                HistGradientBoostingClassifier(
                    random_state=settings.pop("seed"),
                    early_stopping=False,  # it would hold out a random part of the rows
                    **settings,
                ),
            ),
        ]
    )
    with threadpool_limits(limits=1):  # no sum may depend on how many cores a worker has
        return model.fit(flights[list(FEATURES)], flights[LABEL])


def _joined(data: Mapping[str, ds.Dataset]) -> pd.DataFrame:
    features = data["features"].to_table(columns=[KEY, *FEATURES]).to_pandas()
    labels = data["labels"].to_table(columns=[KEY, LABEL]).to_pandas()
    joined: pd.DataFrame = features.merge(labels, on=KEY, validate="1:1")
    return joined.sort_values(KEY, ignore_index=True)


def _columns() -> ColumnTransformer:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    return ColumnTransformer(
        [("categories", encoder, list(CATEGORIES)), ("numbers", "passthrough", list(NUMBERS))]
    )
