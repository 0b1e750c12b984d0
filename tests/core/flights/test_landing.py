from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from backbeat.data import FolderStore
from flights.faults import MILES_TO_KM
from flights.landing import land_history, land_night
from flights.season import Night

NIGHT = Night(date(2013, 1, 5), "e", "A night for the test.", MILES_TO_KM)
NEXT = Night(date(2013, 1, 6), "b", "The night after it.")


def _bytes(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def _days(root: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (root / "landing" / folder).iterdir())


def test_history_is_what_had_arrived(tmp_path: Path) -> None:
    """Before a night begins to arrive, its own schedule is in, and labels of two nights before."""
    written = land_history(FolderStore(tmp_path), NIGHT.day)

    assert _days(tmp_path, "schedule") == [f"2013-01-0{day}.parquet" for day in (1, 2, 3, 4, 5)]
    assert _days(tmp_path, "labels") == [f"2013-01-0{day}.parquet" for day in (1, 2, 3)]
    assert len(written) == 8


def test_a_night_brings_tomorrow_and_the_labels_of_yesterday(tmp_path: Path) -> None:
    """A night lands tomorrow's schedule and the labels of the day before it, nothing later."""
    land_history(FolderStore(tmp_path), NEXT.day)
    written = land_night(FolderStore(tmp_path), NEXT)

    assert set(written) == {
        "landing/schedule/2013-01-07.parquet",
        "landing/labels/2013-01-05.parquet",
    }


def test_a_night_alone_brings_all_that_is_missing(tmp_path: Path) -> None:
    """Landing a night into an empty folder gives the same bytes as history and night in turn."""
    land_history(FolderStore(tmp_path / "turns"), NEXT.day)
    land_night(FolderStore(tmp_path / "turns"), NEXT)
    land_night(FolderStore(tmp_path / "alone"), NEXT)

    assert _bytes(tmp_path / "alone") == _bytes(tmp_path / "turns")


def test_landing_again_changes_nothing(tmp_path: Path) -> None:
    """A night that is landed twice writes nothing the second time."""
    land_night(FolderStore(tmp_path), NIGHT)
    before = _bytes(tmp_path)

    assert land_night(FolderStore(tmp_path), NIGHT) == []
    assert land_history(FolderStore(tmp_path), NIGHT.day) == []
    assert _bytes(tmp_path) == before


def test_a_fault_is_in_tomorrows_schedule_only_and_gone_the_next_night(tmp_path: Path) -> None:
    """A night's fault breaks the schedule that arrives; the next night sends it again, right."""
    land_night(FolderStore(tmp_path / "right"), NEXT)
    right = _bytes(tmp_path / "right")
    land_night(FolderStore(tmp_path / "broken"), NIGHT)
    broken = _bytes(tmp_path / "broken")
    wrong = {key for key in broken if broken[key] != right[key]}
    land_night(FolderStore(tmp_path / "broken"), NEXT)

    assert wrong == {"landing/schedule/2013-01-06.parquet"}
    assert _bytes(tmp_path / "broken") == right


def test_files_carry_nothing_of_the_program_that_wrote_them(tmp_path: Path) -> None:
    """A landed file has the declared columns and no pandas metadata, so that bytes are stable."""
    land_night(FolderStore(tmp_path), NEXT)
    file = pq.ParquetFile(tmp_path / "landing/labels/2013-01-05.parquet")

    assert file.schema_arrow.metadata is None
    assert file.schema_arrow.names == ["flight_id", "late"]
    assert file.metadata.num_rows == 717


def test_a_window_over_nights_is_files_by_day(tmp_path: Path) -> None:
    """Each day is one file named by its date, which is how `{day}` in a reference finds it."""
    land_history(FolderStore(tmp_path), NIGHT.day)
    first = date(2013, 1, 1)

    for count in range(5):
        day = first + timedelta(days=count)
        table = pq.read_table(tmp_path / f"landing/schedule/{day.isoformat()}.parquet")
        assert set(table["flight_date"].to_pylist()) == {day}
