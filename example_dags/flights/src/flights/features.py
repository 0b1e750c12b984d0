"""A day's schedule with the model's features, and a day's labels; nothing from after the night.

A schedule is scored on the evening before it is flown. So the weather is that evening's, at the
origin, and no column that is only known once a flight moves (`dep_time`, `dep_delay`, `arr_time`,
`air_time`) is read. One simplification is in the data: the plane is the one that flew, where an
airline would know the one that it planned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

import pandas as pd
import pyarrow as pa

from flights.settings import FEATURES, KEY, LABEL
from flights.source import Raw

__all__ = ["LABELS_SCHEMA", "SCHEDULE_SCHEMA", "labels", "schedules"]

SCHEDULE_SCHEMA = pa.schema(
    [
        pa.field(KEY, pa.string(), nullable=False),
        pa.field("flight_date", pa.date32(), nullable=False),
        pa.field("carrier", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("dest", pa.string(), nullable=False),
        pa.field("engine", pa.string(), nullable=False),
        pa.field("departure_hour", pa.int64(), nullable=False),
        pa.field("departure_minute", pa.int64(), nullable=False),
        pa.field("weekday", pa.int64(), nullable=False),  # 1 is Monday, as in ISO 8601
        pa.field("distance_miles", pa.float64(), nullable=False),
        pa.field("seats", pa.float64()),
        pa.field("plane_age_years", pa.float64()),
        pa.field("temp_f", pa.float64()),  # mean of the evening
        pa.field("humidity_percent", pa.float64()),  # mean
        pa.field("wind_mph", pa.float64()),  # mean
        pa.field("precip_in", pa.float64()),  # sum
        pa.field("pressure_mb", pa.float64()),  # mean
        pa.field("visib_miles", pa.float64()),  # the worst hour
    ]
)
LABELS_SCHEMA = pa.schema(
    [
        pa.field(KEY, pa.string(), nullable=False),
        pa.field(LABEL, pa.int64(), nullable=False),
    ]
)

_EVENING = 18  # the first of the evening's local hours; the last is 23
_LATE = 15  # minutes behind the schedule at arrival


def schedules(raw: Raw, days: Collection[date]) -> Iterator[tuple[date, pa.Table]]:
    """The flights planned for each of some days, with the features known the evening before.

    Args:
        raw: The raw data.
        days: Local days of departure; all are computed in one pass.

    Yields:
        Each day in order with its table of `SCHEDULE_SCHEMA`, sorted by flight; empty where
        nothing was planned.
    """
    flights = _identified(_of_days(raw.flights, days))
    planes = raw.planes[["tailnum", "year", "seats", "engine"]]
    frame = flights.merge(
        planes.rename(columns={"year": "built"}), on="tailnum", how="left", validate="m:1"
    ).merge(_evening_before(raw.weather), on=["date", "origin"], how="left", validate="m:1")
    frame = frame.assign(
        engine=frame["engine"].fillna("unknown"),
        departure_hour=frame["hour"],
        departure_minute=frame["minute"],
        weekday=frame["date"].dt.day_of_week + 1,
        distance_miles=frame["distance"],
        plane_age_years=frame["year"] - frame["built"],
        flight_date=frame["date"].dt.date,
    )
    yield from _by_day(frame[["date", KEY, "flight_date", *FEATURES]], days, SCHEDULE_SCHEMA)


def labels(raw: Raw, days: Collection[date]) -> Iterator[tuple[date, pa.Table]]:
    """Whether each flight of some days arrived 15 or more minutes late.

    A flight that was cancelled, diverted or lost from the records has no label.

    Yields:
        Each day in order with its table of `LABELS_SCHEMA`, sorted by flight.
    """
    flights = _identified(_of_days(raw.flights, days)).dropna(subset=["arr_delay"])
    frame = flights.assign(**{LABEL: (flights["arr_delay"] >= _LATE).astype("int64")})
    yield from _by_day(frame[["date", KEY, LABEL]], days, LABELS_SCHEMA)


def _of_days(frame: pd.DataFrame, days: Collection[date]) -> pd.DataFrame:
    return frame[frame["date"].isin(pd.to_datetime(list(days)))]


def _identified(flights: pd.DataFrame) -> pd.DataFrame:
    # an airline can use one flight number twice a day, but not from the same airport
    day = flights["date"].dt.strftime("%Y%m%d")
    number = flights["carrier"] + flights["flight"].astype(str)
    return flights.assign(**{KEY: day + "-" + number + "-" + flights["origin"]})


def _evening_before(weather: pd.DataFrame) -> pd.DataFrame:
    evening = weather[weather["hour"] >= _EVENING]
    observed = evening.groupby(["date", "origin"], as_index=False).agg(
        temp_f=("temp", "mean"),
        humidity_percent=("humid", "mean"),
        wind_mph=("wind_speed", "mean"),
        precip_in=("precip", "sum"),
        pressure_mb=("pressure", "mean"),
        visib_miles=("visib", "min"),
    )
    return observed.assign(date=observed["date"] + pd.Timedelta(days=1))


def _by_day(
    frame: pd.DataFrame, days: Collection[date], schema: pa.Schema
) -> Iterator[tuple[date, pa.Table]]:
    of_day = dict(tuple(frame.sort_values(KEY).groupby("date")))
    for day in sorted(days):
        rows = of_day.get(pd.Timestamp(day), frame.iloc[:0])[schema.names]
        table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
        # pandas' own metadata names its version, and the bytes should not depend on that
        yield day, table.replace_schema_metadata(None)
