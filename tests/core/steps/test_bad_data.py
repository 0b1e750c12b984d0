"""Bad data: a clear error, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parcels import (
    DAYS,
    Season,
    comparison,
    drift,
    failure,
    outcomes,
    profile,
    quality,
    schedule,
    scoring,
    step,
    training,
)

from backbeat import Blocked, Done, Step
from backbeat.errors import (
    Conflict,
    ContractBroken,
    InvalidData,
)
from backbeat.inference import read_scores
from backbeat.step import StepContext

DAY = DAYS[3]
READERS: dict[str, Callable[[Any], Step]] = {
    "quality": quality,
    "profile": profile,
    "drift": drift,
    "training": training,
    "comparison": comparison,
    "labels": lambda labels: comparison(labels=labels),
    "scoring": scoring,
}
LOGGED = step("lineage.log", inputs=["landing/gone.parquet"])


def parquet(reader: str) -> bytes:
    """The bytes of a sound file that the reader would take."""
    sink = pa.BufferOutputStream()
    pq.write_table(outcomes(DAY) if reader == "labels" else schedule(DAY), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("reader", READERS)
class TestABrokenFile:
    def test_missing(self, reader: str, shared: Season) -> None:
        """A file that has not landed is named, and landing it is what helps."""
        error = failure(shared, READERS[reader]("landing/gone.parquet"), InvalidData)

        assert error.message == "1 of 1 files are missing, the first is landing/gone.parquet"
        assert error.hint.startswith("check that the data has landed")

    def test_one_day_of_a_window_is_missing(self, reader: str, shared: Season) -> None:
        """Of a window, the number of absent files and the first of them are named."""
        window = {"uri": "landing/parcels/{day}.parquet", "until": "2024-05-08", "days": 3}
        error = failure(shared, READERS[reader](window), InvalidData)

        assert error.message == (
            "2 of 3 files are missing, the first is landing/parcels/2024-05-07.parquet"
        )

    def test_empty(self, reader: str, shared: Season) -> None:
        """A file of 0 bytes is called empty."""
        key = shared.land_bytes("bad/empty.parquet", b"")
        error = failure(shared, READERS[reader](key), InvalidData)

        assert error.message == "bad/empty.parquet is empty (0 bytes)"
        assert error.hint == "land the file again"

    @pytest.mark.parametrize("fault", ["truncated", "foreign"])
    def test_truncated_or_foreign(self, reader: str, fault: str, shared: Season) -> None:
        """Half a file, or a picture under a table's name, is told from a table."""
        picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
        whole = parquet(reader)
        content = whole[: len(whole) // 2] if fault == "truncated" else picture
        key = shared.land_bytes(f"bad/{fault}.parquet", content)
        error = failure(shared, READERS[reader](key), InvalidData)

        assert error.message.startswith(f"bad/{fault}.parquet is not a whole parquet file: ")
        assert error.hint == "the file is truncated or of another format; land it again"

    def test_damaged_inside(self, reader: str, shared: Season) -> None:
        """A page that is damaged under a sound footer is noticed when it is read."""
        whole = parquet(reader)
        footer = int.from_bytes(whole[-8:-4], "little") + 8
        whole = whole[:4] + bytes(len(whole) - 4 - footer) + whole[-footer:]
        key = shared.land_bytes(f"bad/damaged-{reader}.parquet", whole)
        error = failure(shared, READERS[reader](key), InvalidData)

        assert "read" in error.message
        assert "file" in error.hint

    def test_another_type_within_the_window(self, reader: str, shared: Season) -> None:
        """Two files of one window whose types differ are refused, with both types."""
        for day, kind in ((DAYS[3], pa.int64()), (DAYS[4], pa.string())):
            table = outcomes(day) if reader == "labels" else schedule(day)
            column = "late" if reader == "labels" else "hour"
            place = table.column_names.index(column)
            changed = table.set_column(place, column, table[column].cast(kind))
            shared.land(f"bad/{reader}/{day}.parquet", changed)
        window = {"uri": f"bad/{reader}/{{day}}.parquet", "until": str(DAYS[4]), "days": 2}
        error = failure(shared, READERS[reader](window), ContractBroken)

        assert error.message == (
            f"bad/{reader}/{DAYS[4]}.parquet does not have the columns of "
            f"bad/{reader}/{DAYS[3]}.parquet: column {column} is string instead of int64"
        )
        assert error.hint == "repair the file, or start the window after the change"


def test_a_missing_file_of_a_foreign_task(shared: Season) -> None:
    """What a foreign task says it has read must be there to be digested."""
    error = failure(shared, LOGGED, InvalidData)

    assert error.message == "1 of 1 files are missing, the first is landing/gone.parquet"


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ("quality", "The table has no rows, so suite 'parcels' would hold for it whatever it says"),
        ("profile", "bad/no-rows.parquet has no rows: a profile of it would be compared with"),
        ("training", "the features have no rows to train on"),
        ("comparison", "no row of the data has a label yet"),
        ("labels", "no row of the data has a label yet"),
    ],
)
def test_no_rows(reader: str, message: str, shared: Season) -> None:
    """A table without rows proves nothing, and is not taken for one that does."""
    table = outcomes(DAY) if reader == "labels" else schedule(DAY)
    key = shared.land("bad/no-rows.parquet", table.slice(0, 0))
    error = failure(shared, READERS[reader](key), InvalidData)

    assert error.message.startswith(message)


def test_no_rows_are_never_stable(season: Season) -> None:
    """A day without rows has a drift verdict, which is not `stable`."""
    key = season.land("bad/no-rows.parquet", schedule(DAY).slice(0, 0))
    outcome = season.run(drift(key))

    assert isinstance(outcome, Done)
    assert outcome.value["verdict"] == "insufficient_data"


def test_no_rows_have_no_scores(season: Season) -> None:
    """A day without rows is scored to a table without rows, and readers find its columns."""
    key = season.land("bad/no-rows.parquet", schedule(DAY).slice(0, 0))
    outcome = season.run(scoring(key))

    assert isinstance(outcome, Done)
    assert outcome.value["rows"] == 0
    scores = read_scores(season.platform.store, "scores/new")
    assert len(scores) == 0
    assert scores.column_names[:2] == ["parcel_id", "score"]


class TestAColumn:
    @pytest.mark.parametrize("reader", ["profile", "training", "scoring"])
    def test_renamed(self, reader: str, shared: Season) -> None:
        """A renamed column is named beside those that are there, and the likely one is offered."""
        names = ["distance_kilom" if n == "distance_km" else n for n in schedule(DAY).column_names]
        key = shared.land("bad/renamed.parquet", schedule(DAY).rename_columns(names))
        error = failure(shared, READERS[reader](key), ContractBroken)

        assert "lack the column distance_km; there are parcel_id, weight_kg" in error.message
        assert error.hint == "did you mean distance_kilom?"

    @pytest.mark.parametrize("reader", ["profile", "training", "scoring"])
    def test_missing(self, reader: str, shared: Season) -> None:
        """A column that nothing resembles sends people to the producer."""
        key = shared.land("bad/missing.parquet", schedule(DAY).drop_columns(["depot"]))
        error = failure(shared, READERS[reader](key), ContractBroken)

        assert "lack the column depot; there are parcel_id" in error.message
        assert error.hint == "check the producer's schema"

    def test_missing_for_the_models(self, shared: Season) -> None:
        """Models that are compared say which of their columns is missing, and quote no row."""
        key = shared.land("bad/missing.parquet", schedule(DAY).drop_columns(["depot"]))
        error = failure(shared, comparison(key), ContractBroken)

        assert "that models:/parcels/2 was trained on" in error.message
        assert "depot" in error.message
        assert error.hint == "give it the columns of its training data, of the same types"

    @pytest.mark.parametrize("reader", ["comparison", "scoring"])
    def test_of_another_type_than_the_model_knows(self, reader: str, shared: Season) -> None:
        """A number that arrives as text is refused by name."""
        table = schedule(DAY)
        words = pa.array(["far"] * len(table))
        place = table.column_names.index("distance_km")
        key = shared.land("bad/words.parquet", table.set_column(place, "distance_km", words))
        error = failure(shared, READERS[reader](key), ContractBroken)

        assert "distance_km" in error.message
        assert error.hint == "give it the columns of its training data, of the same types"

    @pytest.mark.parametrize("fault", ["missing", "words"])
    def test_is_broken_not_drifted(self, fault: str, season: Season) -> None:
        """A watched column that is gone or of another type is a verdict of its own."""
        table = schedule(DAY).drop_columns(["distance_km"])
        if fault == "words":
            table = table.append_column("distance_km", pa.array(["far"] * len(table)))
        outcome = season.run(drift(season.land("bad/table.parquet", table)))

        assert isinstance(outcome, Done)
        assert outcome.value["verdict"] == "broken"
        assert outcome.value["columns"][0] == "distance_km"

    def test_that_is_expected_and_missing_blocks(self, season: Season) -> None:
        """A suite over a column that is gone has failed, and names the column."""
        key = season.land("bad/missing.parquet", schedule(DAY).drop_columns(["weight_kg"]))
        outcome = season.run(quality(key))

        assert isinstance(outcome, Blocked)
        assert outcome.evidence["failed"] == ["expect_column_values_to_be_between(weight_kg)"]

    def test_labels_without_their_key(self, shared: Season) -> None:
        """Labels that cannot be joined are refused, and the renamed key is offered."""
        names = ["parcel", "late"]
        key = shared.land("bad/labels.parquet", outcomes(DAY).rename_columns(names))
        error = failure(shared, comparison(labels=key), ContractBroken)

        assert error.message == "the labels lack the column parcel_id; there are parcel, late"
        assert error.hint == "did you mean parcel?"

    def test_a_key_of_two_types(self, shared: Season) -> None:
        """A key that is a number on one side and text on the other joins nothing by chance."""
        table = outcomes(DAY)
        words = table.set_column(0, "parcel_id", table["parcel_id"].cast(pa.string()))
        key = shared.land("bad/words.parquet", words)
        error = failure(shared, comparison(labels=key), ContractBroken)

        assert error.message == "parcel_id is int64 in the data and string in the labels"
        assert error.hint == "write the key with one type on both sides"

    @pytest.mark.parametrize("side", ["data", "labels"])
    def test_a_key_that_comes_twice(self, side: str, shared: Season) -> None:
        """A row that would be counted twice is refused."""
        table = schedule(DAY) if side == "data" else outcomes(DAY)
        key = shared.land("bad/twice.parquet", pa.concat_tables([table, table.slice(0, 1)]))
        error = failure(shared, comparison(**{side: key}), InvalidData)

        assert error.message == f"parcel_id is not unique in the {side}"

    def test_a_scored_key_that_comes_twice(self, shared: Season) -> None:
        """Nothing is scored where a row could not be told from another."""
        table = pa.concat_tables([schedule(DAY), schedule(DAY).slice(0, 1)])
        error = failure(shared, scoring(shared.land("bad/twice.parquet", table)), InvalidData)

        assert "1 keys come more than once, such as parcel_id=" in error.message

    def test_labels_that_are_no_numbers(self, shared: Season) -> None:
        """Labels in words are refused by what they are."""
        table = outcomes(DAY).drop_columns(["late"])
        table = table.append_column("late", pa.array(["yes"] * len(table)))
        error = failure(
            shared, comparison(labels=shared.land("bad/yes.parquet", table)), InvalidData
        )

        assert error.message.startswith("The values of `labels` are not numbers")


def test_data_that_changes_while_it_is_read(season: Season) -> None:
    """What is performed on is what was claimed: data that changes in between is refused."""
    key = season.land("landing/moving.parquet", schedule(DAY))

    class Moving(type(quality(key))):  # type: ignore[misc]
        def perform(self, ctx: StepContext) -> Any:
            season.land(key, schedule(DAYS[4]))
            return super().perform(ctx)

    with pytest.raises(Conflict) as caught:
        season.run(Moving.model_validate(quality(key).model_dump()))

    assert caught.value.message == (
        "the data (landing/moving.parquet) changed while the step ran: nothing was written"
    )
    assert caught.value.hint.startswith("let the producer finish")
    assert season.ended("failed") == ["quality.check/v1"]
