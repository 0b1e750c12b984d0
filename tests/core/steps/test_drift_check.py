from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from parcels import (
    CHAMPION,
    DAYS,
    MODEL,
    Season,
    attempt,
    documented_value,
    drift,
    profile,
    schedule,
)

from backbeat import Done, embedded, run_step
from backbeat.errors import ContractBroken
from backbeat.steps import DriftCheck

DAY = "landing/parcels/2024-05-04.parquet"


def test_a_quiet_day_is_stable(season: Season) -> None:
    """A day like the champion's days is stable; the report and its page are there."""
    outcome = season.run(drift(DAY, effect_floor=0.25))

    assert isinstance(outcome, Done)
    assert set(outcome.value) == documented_value(DriftCheck)
    assert outcome.value["verdict"] == "stable"
    assert outcome.value["calibrated"] is False
    assert outcome.value["columns"] == []
    assert outcome.value["rows"] == 800
    assert outcome.value["reference"] == "profiles/parcels/1.json"
    assert season.platform.store.read(outcome.value["report"]).lower().startswith(b"<!doctype html")


def test_a_moved_column_has_drifted(season: Season) -> None:
    """Parcels that travel much less far than the champion's are drift, and the column is named."""
    near = schedule(DAYS[4])
    place = near.column_names.index("distance_km")
    near = near.set_column(place, "distance_km", pa.array(near["distance_km"].to_numpy() / 3))
    outcome = season.run(drift(season.land("landing/near.parquet", near)))

    assert isinstance(outcome, Done)
    assert outcome.value["verdict"] == "drifted"
    assert outcome.value["columns"][0] == "distance_km"
    assert outcome.metrics["drifted"] >= 1


def test_few_rows_are_never_a_pass(season: Season) -> None:
    """A batch too small to show the floor is `insufficient_data`."""
    key = season.land("landing/few.parquet", schedule(DAYS[4]).slice(0, 5))
    outcome = season.run(drift(key, report=""))

    assert isinstance(outcome, Done)
    assert outcome.value["verdict"] == "insufficient_data"
    assert "report" not in outcome.value


def test_before_the_first_champion_there_is_no_reference(blank: Season) -> None:
    """A model that does not exist yet gives a verdict and not an error: the first night."""
    outcome = blank.run(drift(DAY))

    assert isinstance(outcome, Done)
    assert outcome.value["verdict"] == "no_reference"
    assert outcome.value["reference"] is None
    assert outcome.value["rows"] == 800


def test_only_the_named_columns_are_judged(season: Season) -> None:
    """`columns` narrows the decision; one that the profile does not have is refused."""
    outcome = season.run(drift(DAY, columns=["hour"]))

    assert isinstance(outcome, Done)
    assert set(outcome.metrics) == {"effect.hour", "drifted"}
    with pytest.raises(ContractBroken) as caught:
        season.run(drift(DAY, columns=["colour"]))
    assert caught.value.message == (
        "the profile profiles/parcels/1.json has no column colour; it has depot, distance_km, "
        "hour, weight_kg"
    )
    assert caught.value.hint == "build the profile with that column, or leave it out of `columns`"


def test_works_with_a_folder_alone(season: Season, tmp_path: Path) -> None:
    """At rung 0 a profile in the store is the reference, and nothing else is needed."""
    alone = embedded(tmp_path / "alone", ledger=False, registry=False)
    data = str(season.folder / "store" / DAY)
    run_step(profile(data), attempt(), alone)
    outcome = run_step(drift(data, reference="profiles/new.json"), attempt(), alone)

    assert isinstance(outcome, Done)
    assert outcome.value["verdict"] == "stable"
    assert not (tmp_path / "alone" / "ledger.db").exists()


def test_a_retry_gets_the_recorded_outcome(season: Season) -> None:
    """A retry hands the record out, and a champion with another profile makes it other work."""
    first = season.run(drift(DAY))
    before = season.stores()
    assert season.run(drift(DAY), attempt=2) == first
    assert season.stores() == before

    season.run(profile(DAY, model=f"models:/{MODEL}/1"))
    again = season.run(drift(DAY), attempt=3)
    assert isinstance(again, Done)
    assert again.value["reference"] == "profiles/new.json"
    assert CHAMPION in str(season.platform.ledger.runs(state="done")[0].step)
