"""The model's constants, as a team would write them down once; importing this costs nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

__all__ = [
    "CATEGORIES",
    "COMPARE_DAYS",
    "COMPARE_SHIFT",
    "DRIFT_COLUMNS",
    "DRIFT_DAYS",
    "DRIFT_FLOOR",
    "DRIFT_SHIFT",
    "FEATURES",
    "FIRST_DAY",
    "KEY",
    "LABEL",
    "LABELS",
    "MODEL",
    "NUMBERS",
    "SCHEDULE",
    "SCORE_SHIFT",
    "SUITE",
    "TRAIN",
    "TRAIN_DAYS",
    "TRAIN_PARAMS",
    "TRAIN_SHIFT",
]

MODEL = "flights"
KEY = "flight_id"
LABEL = "late"

SCHEDULE = "landing/schedule/{day}.parquet"
LABELS = "landing/labels/{day}.parquet"
FIRST_DAY = date(2013, 1, 1)

CATEGORIES = ("carrier", "origin", "dest", "engine")
NUMBERS = (
    "departure_hour",
    "departure_minute",
    "weekday",
    "distance_miles",
    "seats",
    "plane_age_years",
    "temp_f",
    "humidity_percent",
    "wind_mph",
    "precip_in",
    "pressure_mb",
    "visib_miles",
)
FEATURES = CATEGORIES + NUMBERS

# Windows, in days, counted from the night N as `Dataset(until=N, shift=..., days=...)` does. On
# night N the labels are in through N-1. The newest COMPARE_DAYS of them are kept out of training,
# so that champion and challenger are both judged on days that neither has seen.
COMPARE_SHIFT = -1
COMPARE_DAYS = 14
TRAIN_SHIFT = -1 - COMPARE_DAYS
TRAIN_DAYS = 42
SCORE_SHIFT = 1

# Drift looks at the week that ends with tomorrow, because a single weekday differs from a whole
# month in ways that everybody knows. It watches the schedule and not the weather: over 2013 the
# temperature of a week differs from the champion's six weeks by a KS distance of 0.65 (median,
# champion trained the same night), so an alarm on it would say "spring" every night. The largest
# effect over the columns below is then 0.06 (median), 0.08 on nine nights in ten, and above 0.1
# only in the week of Christmas; so 0.1 is crossed when the airlines really change what they fly.
DRIFT_SHIFT = 1
DRIFT_DAYS = 7
DRIFT_COLUMNS = (
    "carrier",
    "origin",
    "dest",
    "departure_hour",
    "distance_miles",
    "seats",
    "plane_age_years",
)
DRIFT_FLOOR = 0.1

TRAIN = "flights.training:train"
TRAIN_PARAMS: dict[str, Any] = {
    "seed": 2013,
    "max_iter": 80,
    "learning_rate": 0.08,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 200,
    "l2_regularization": 5.0,
}

# Great Expectations, as data. The bounds of a value are physical; those of a day are what every
# day of 2013 keeps (634 to 1014 flights, 976 to 1129 miles on average) with some room.
SUITE: list[dict[str, Any]] = [
    {
        "type": "expect_table_columns_to_match_set",
        "kwargs": {"column_set": [KEY, "flight_date", *FEATURES], "exact_match": True},
    },
    {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": 500, "max_value": 1200},
    },
    {"type": "expect_column_values_to_be_unique", "kwargs": {"column": KEY}},
    *(
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": column}}
        for column in (KEY, "carrier", "origin", "dest", "departure_hour", "distance_miles")
    ),
    {
        "type": "expect_column_values_to_be_in_set",
        "kwargs": {"column": "origin", "value_set": ["EWR", "JFK", "LGA"]},
    },
    *(
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": column, "min_value": low, "max_value": high},
        }
        for column, low, high in (
            ("departure_hour", 0, 23),
            ("departure_minute", 0, 59),
            ("distance_miles", 10, 5000),
            ("temp_f", -20, 115),
            ("wind_mph", 0, 80),
            ("visib_miles", 0, 10),
        )
    ),
    {
        "type": "expect_column_mean_to_be_between",
        "kwargs": {"column": "distance_miles", "min_value": 900, "max_value": 1200},
    },
]

# The challenger must be better in log loss: the scores are read as probabilities.
METRIC = "log_loss"
# A day's flights share their weather: the day is what is resampled, not the flight.
GROUPS = "flight_date"
# Two of these three sign off a promotion.
REVIEWERS = ("ada", "grace", "katherine")
# About forty shards a night: what a killed worker can lose is a fortieth.
SHARD_ROWS = 25
