from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from parcels import (
    CHAMPION,
    DAYS,
    FEATURES,
    MODEL,
    Season,
    attempt,
    documented_value,
    failure,
    outcomes,
    schedule,
    scoring,
    step,
)

from backbeat import Done, Step, embedded, run_step
from backbeat.errors import ContractBroken, InvalidData, InvalidStep
from backbeat.steps import PerformanceCheck

DAY = DAYS[3].isoformat()


def check(labels: Any = f"landing/late/{DAY}.parquet", **fields: Any) -> Step:
    """Judges the scores of the fourth day."""
    known = {
        "predictions": "scores/new",
        "model": MODEL,
        "partition": DAY,
        "key": ["parcel_id"],
        "label_column": "late",
        "floor": 0.2,
    }
    return step("drift.performance", labels=labels, **{**known, **fields})


def scores(season: Season, key: str, day: int = 3, **columns: Any) -> str:
    """A table of somebody else's predictions for a day, as good as they can be."""
    known = schedule(DAYS[day])
    strain = known["distance_km"].to_numpy() / 200 + known["hour"].to_numpy() / 10 - 2.5
    table = pa.table({"parcel_id": known["parcel_id"], "score": 1 / (1 + np.exp(-3 * strain))})
    for name, values in columns.items():
        table = table.append_column(name, values)
    return season.land(key, table)


def done(season: Season, task: Step, run: str = "night-1") -> Done:
    """A check that went well."""
    outcome = season.run(task, run=run)
    assert isinstance(outcome, Done)
    return outcome


def test_the_first_batch_is_measured_and_kept(season: Season) -> None:
    """Scores of a BatchInference meet their labels; without a past there is no verdict on them."""
    from sklearn.metrics import roc_auc_score

    done(season, scoring(f"landing/parcels/{DAY}.parquet"))
    outcome = done(season, check(by=["model_version"]))

    assert set(outcome.value) == documented_value(PerformanceCheck)
    value = outcome.value
    assert (value["verdict"], value["estimated"]) == ("no_reference", False)
    assert (value["predictions"], value["rows"], value["coverage"]) == (800, 800, 1.0)
    assert value["record"] == f"performance/{MODEL}/{DAY}.json"
    model = season.platform.registry.load(CHAMPION)
    known = np.asarray(model.predict(schedule(DAYS[3]).to_pandas()[list(FEATURES)]))[:, 1]
    truth = outcomes(DAYS[3])["late"].to_numpy()
    assert outcome.metrics["roc_auc"] == pytest.approx(roc_auc_score(truth, known))
    assert outcome.metrics["roc_auc.low"] < outcome.metrics["roc_auc"]
    record = json.loads(season.platform.store.read(value["record"]))
    assert record["format"] == "backbeat.performance/v1"
    assert list(record["slices"]) == [f"model_version=models:/{MODEL}/1"]
    assert "| roc_auc |" in outcome.evidence["markdown"]


def test_only_what_the_manifest_names_is_judged(season: Season) -> None:
    """Shards that an earlier model has left beside the newer ones are no predictions."""
    done(season, scoring(f"landing/parcels/{DAY}.parquet"))
    done(season, scoring(f"landing/parcels/{DAY}.parquet", model=f"models:/{MODEL}/2"))
    outcome = done(season, check(by=["model_version"]))

    assert outcome.value["predictions"] == 800
    assert outcome.evidence["performance"]["facts"]["conflicting_predictions"] == 0
    assert [item["name"] for item in outcome.evidence["performance"]["slices"]] == [
        f"model_version=models:/{MODEL}/2"
    ]


def test_later_batches_are_held_against_the_past(season: Season) -> None:
    """Labels that turn round are drift against the days before; their own day is not among them."""
    for number in range(3):
        key = scores(season, f"scores/{number}.parquet", number)
        labels = f"landing/late/{DAYS[number]}.parquet"
        done(season, check(labels, predictions=key, partition=str(DAYS[number])), f"n{number}")
    mine = scores(season, "scores/3.parquet")
    quiet = done(season, check(predictions=mine), "n3")
    assert (quiet.value["verdict"], quiet.value["worse"]) == ("stable", [])
    assert quiet.value["reference"] == "3 batches from 2024-05-01 to 2024-05-03"

    late = outcomes(DAYS[3])
    turned = late.set_column(1, "late", pa.array(1 - late["late"].to_numpy()))
    labels = season.land("landing/turned.parquet", turned)
    worse = done(season, check(labels, predictions=mine), "n4")
    assert worse.value["verdict"] == "drifted"
    assert worse.value["worse"] == ["roc_auc", "log_loss"]
    assert worse.value["reference"] == quiet.value["reference"]


def test_without_labels_it_is_an_estimate(season: Season) -> None:
    """From a pinned record the next day is estimated, near what its labels show, and says so."""
    first = done(season, check(predictions=scores(season, "scores/3.parquet")))
    tomorrow = scores(season, "scores/2.parquet", 2)
    fields = {"reference": first.value["record"], "partition": "2024-05-09"}
    estimate = done(season, check(None, predictions=tomorrow, **fields), "n2")
    # an estimate is no past
    again = done(season, check(None, predictions=tomorrow, partition="2024-05-10"), "n3")
    assert again.value["reference"] == f"the batch {first.value['partition']}"
    labels = f"landing/late/{DAYS[2]}.parquet"
    shown = done(season, check(labels, predictions=tomorrow, **fields), "n4")

    assert (estimate.value["verdict"], estimate.value["estimated"]) == ("stable", True)
    assert estimate.value["coverage"] is None
    assert estimate.value["record"] == f"performance/{MODEL}/2024-05-09.estimate.json"
    assert estimate.metrics["roc_auc.low"] <= shown.metrics["roc_auc"]
    assert shown.metrics["roc_auc"] <= estimate.metrics["roc_auc.high"]
    assert "cannot see concept drift" in estimate.evidence["markdown"]


def test_a_versions_own_metrics_can_be_the_reference(season: Season) -> None:
    """Numbers logged with a model hold for it; a model without any is refused by name."""
    mine = scores(season, "scores/3.parquet")
    error = failure(season, check(predictions=mine, reference=CHAMPION), InvalidData)
    assert error.message == f"models:/{MODEL}/1 has no metric of a classification; it has rows"


def test_late_labels_are_no_pass(season: Season) -> None:
    """Too few labels give `insufficient_data`, and a second look when they are in gives more."""
    mine = scores(season, "scores/3.parquet")
    part = season.land("landing/part.parquet", outcomes(DAYS[3]).slice(0, 100))
    early = done(season, check(part, predictions=mine))
    assert early.value["verdict"] == "insufficient_data"
    assert early.value["coverage"] == 0.125
    late = done(season, check(predictions=mine), "night-2")
    assert (late.value["verdict"], late.value["coverage"]) == ("no_reference", 1.0)
    assert late.value["record"] == early.value["record"]


def test_days_and_slices_may_come_with_either_table(season: Season) -> None:
    """A column that the predictions lack is taken from the labels; one that neither has is told."""
    depot = schedule(DAYS[3])["depot"]
    mine = scores(season, "scores/3.parquet", depot=depot)
    labels = season.land(
        "landing/dated.parquet", outcomes(DAYS[3]).append_column("shift", pa.array([1, 2] * 400))
    )
    outcome = done(season, check(labels, predictions=mine, by=["depot"], day="shift"))
    names = {item["name"] for item in outcome.evidence["performance"]["slices"]}
    assert names == {"depot=north", "depot=south", "depot=harbour"}
    error = failure(season, check(labels, predictions=mine, by=["depto"]), ContractBroken)
    assert error.message.startswith("the labels lack the column depto")


def test_labels_need_a_key() -> None:
    """A step that could not join is refused before it runs."""
    with pytest.raises(InvalidStep, match="labels are joined by `key`"):
        check(key=[])


def test_bad_predictions_change_nothing(season: Season) -> None:
    """A score that is no probability is an error; no record is written."""
    known = schedule(DAYS[3])["parcel_id"]
    key = season.land(
        "scores/wild.parquet", pa.table({"parcel_id": known, "score": np.full(800, 3.0)})
    )
    error = failure(season, check(predictions=key), InvalidData)
    assert error.message == ("the predictions (score) reach from 3 to 3, and are no probabilities")


def test_a_record_that_changes_is_other_work(season: Season) -> None:
    """What the reference says is pinned: another record under the same key is no retry's answer."""
    first = done(season, check(predictions=scores(season, "scores/3.parquet")))
    store = season.platform.store
    key = first.value["record"]
    task = check(predictions="scores/3.parquet", partition="2024-05-09", reference=key)
    recorded = season.run(task, run="n2")
    assert season.run(task, run="n2", attempt=2) == recorded
    record = json.loads(store.read(key))
    record["whole"]["metrics"]["roc_auc"]["value"] = 0.999
    store.write(key, json.dumps(record).encode())
    changed = season.run(task, run="n2", attempt=3)
    assert isinstance(changed, Done)
    judged = changed.evidence["performance"]["judged"]
    assert judged[0]["reference"] == 0.999


def test_works_with_a_folder_alone(season: Season, tmp_path: Path) -> None:
    """At rung 0 two tables and a folder are enough."""
    store = season.folder / "store"
    mine = scores(season, "scores/3.parquet")
    alone = embedded(tmp_path / "alone", ledger=False, registry=False)
    task = check(str(store / f"landing/late/{DAY}.parquet"), predictions=str(store / mine))
    outcome = run_step(task, attempt(), alone)

    assert isinstance(outcome, Done)
    assert (tmp_path / "alone" / "store" / str(outcome.value["record"])).exists()
    assert not (tmp_path / "alone" / "ledger.db").exists()
