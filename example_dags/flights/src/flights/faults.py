"""Injected faults: what a broken feed does to a schedule. None of this is in the real data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["CARRIERS_RENAMED", "MILES_TO_KM", "Fault"]

_KM_PER_MILE = 1.609344
# IATA's two letters and ICAO's three for the airlines that fly for the big ones
_ICAO = {"9E": "FLG", "EV": "ASQ", "MQ": "EGF"}


@dataclass(frozen=True)
class Fault:
    """A fault to inject into a schedule before it lands.

    Args:
        name: Short name.
        label: One sentence for people; says that the fault is injected.
        apply: A schedule in, the broken schedule out, of the same schema.
    """

    name: str
    label: str
    apply: Callable[[pa.Table], pa.Table]


def _replaced(table: pa.Table, column: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    position = table.schema.get_field_index(column)
    return table.set_column(position, table.schema.field(position), values)


def _miles_to_km(schedule: pa.Table) -> pa.Table:
    return _replaced(
        schedule, "distance_miles", pc.multiply(schedule["distance_miles"], _KM_PER_MILE)
    )


def _carriers_renamed(schedule: pa.Table) -> pa.Table:
    carriers = [_ICAO.get(code, code) for code in schedule["carrier"].to_pylist()]
    return _replaced(schedule, "carrier", pa.array(carriers, pa.string()))


MILES_TO_KM = Fault(
    name="miles_to_km",
    label="Injected fault: the feed sends distance_miles in kilometres.",
    apply=_miles_to_km,
)
CARRIERS_RENAMED = Fault(
    name="carriers_renamed",
    label=(
        "Injected fault: the feed names the three regional carriers (9E, EV, MQ: three flights "
        "in ten) by their ICAO codes (FLG, ASQ, EGF)."
    ),
    apply=_carriers_renamed,
)
