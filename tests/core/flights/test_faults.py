from datetime import date

import pyarrow as pa
import pytest

from flights.faults import CARRIERS_RENAMED, MILES_TO_KM, Fault
from flights.features import schedules
from flights.source import read

DAY = date(2013, 6, 14)


@pytest.fixture(scope="module")
def schedule() -> pa.Table:
    return dict(schedules(read(), [DAY]))[DAY]


@pytest.mark.parametrize(
    ("fault", "column"), [(MILES_TO_KM, "distance_miles"), (CARRIERS_RENAMED, "carrier")]
)
def test_a_fault_says_that_it_is_injected_and_breaks_one_column(
    fault: Fault, column: str, schedule: pa.Table
) -> None:
    """A fault is labelled as injected, names its column, and leaves all the others alone."""
    broken = fault.apply(schedule)

    assert fault.label.startswith("Injected fault: ")
    assert column.removesuffix("_miles") in fault.label
    assert broken.schema.equals(schedule.schema)
    assert not broken[column].equals(schedule[column])
    assert broken.drop_columns([column]).equals(schedule.drop_columns([column]))


def test_miles_become_kilometres(schedule: pa.Table) -> None:
    """Honolulu is 4,983 miles away from Kennedy, and 8,019 kilometres."""
    assert max(schedule["distance_miles"].to_pylist()) == 4983.0
    assert max(MILES_TO_KM.apply(schedule)["distance_miles"].to_pylist()) == pytest.approx(8019.36)


def test_three_carriers_change_their_names(schedule: pa.Table) -> None:
    """The regional carriers, three flights in ten, get names that no model has seen."""
    before = schedule["carrier"].to_pylist()
    after = CARRIERS_RENAMED.apply(schedule)["carrier"].to_pylist()
    renamed = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    share = sum(old != new for old, new in zip(before, after, strict=True)) / len(before)

    assert renamed == {("9E", "FLG"), ("EV", "ASQ"), ("MQ", "EGF")}
    assert 0.25 < share < 0.35
