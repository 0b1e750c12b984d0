from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backbeat.data import FolderStore
from backbeat.drift.performance import (
    CANNOT_SEE,
    Joined,
    Performance,
    PerformanceRecord,
    Reference,
    Settings,
    estimate_performance,
    join_labels,
    measure_performance,
    only_predictions,
    past_records,
    read_record,
    record_key,
    reference_of,
    reference_of_numbers,
    write_record,
)
from backbeat.errors import InvalidData, InvalidStep

FIRST = date(2024, 5, 6)
COLUMNS = ("day", "depot")


def batch(
    week: int,
    *,
    rows: int = 1400,
    slope: float = 2.0,
    broken: str | None = None,
    hard: float = 0.0,
    days: int = 7,
) -> tuple[pa.Table, pa.Table]:
    """A week of scores and labels; a smaller slope means less is known, `broken` names a depot."""
    random = np.random.default_rng(week)
    strain = random.normal(size=rows) * (1 - hard)
    depot = random.choice(["north", "south"], rows)
    known = np.where(depot == broken, 0.0, slope) * strain
    late = random.uniform(size=rows) < 1 / (1 + np.exp(-known))
    first = FIRST + timedelta(weeks=week)
    predictions = pa.table(
        {
            "id": np.arange(rows) + 10_000 * week,
            "score": 1 / (1 + np.exp(-2.0 * strain)),
            "day": [first + timedelta(days=int(n)) for n in np.arange(rows) % days],
            "depot": depot.tolist(),
        }
    )
    return predictions, pa.table({"id": predictions["id"], "late": late.astype(int)})


def joined(week: int, *, labelled: float = 1.0, **fields: Any) -> Joined:
    """The week's rows whose labels have arrived."""
    predictions, labels = batch(week, **fields)
    return join_labels(
        predictions,
        labels.slice(0, int(len(labels) * labelled)),
        key=["id"],
        prediction="score",
        label="late",
        task="classification",
        columns=COLUMNS,
    )


def alone(week: int, **fields: Any) -> Joined:
    """The week's predictions."""
    return only_predictions(
        batch(week, **fields)[0], prediction="score", task="classification", columns=COLUMNS
    )


def settings(week: int = 20, **fields: Any) -> Settings:
    """How the week is judged."""
    known: dict[str, Any] = {"model": "parcels", "day": "day", "by": ("depot",)}
    return Settings(partition=f"{FIRST + timedelta(weeks=week)}", **{**known, **fields})


def recorded(weeks: int) -> list[PerformanceRecord]:
    """Records of ordinary weeks."""
    return [measure_performance(joined(week), settings(week), None).record for week in range(weeks)]


@pytest.fixture(scope="module")
def past() -> Reference:
    """Eight ordinary weeks."""
    return reference_of(recorded(8), title="the past", task="classification", threshold=0.5)


@pytest.fixture(scope="module")
def pinned() -> Reference:
    """One record of eight weeks, as of a model's evaluation."""
    whole = measure_performance(joined(0, rows=9800, days=49), settings(0), None).record
    return reference_of([whole], title="pinned", task="classification", threshold=0.5)


@pytest.fixture(params=["past", "pinned"])
def reference(request: pytest.FixtureRequest) -> Reference:
    """Either of them."""
    found: Reference = request.getfixturevalue(request.param)
    return found


def test_an_ordinary_week_is_stable(reference: Reference) -> None:
    """A week like those before is stable, by its labels and before them."""
    measured = measure_performance(joined(20), settings(floor=0.1), reference)
    estimated = estimate_performance(alone(20), settings(floor=0.1), reference)

    assert (measured.verdict, measured.estimated, measured.coverage) == ("stable", False, 1.0)
    assert (estimated.verdict, estimated.estimated, estimated.coverage) == ("stable", True, None)
    assert measured.rows == estimated.rows == 1400
    assert measured.metrics["roc_auc"].clustered
    assert {item.name for item in measured.slices} == {"depot=north", "depot=south"}


def test_a_worse_model_has_drifted(reference: Reference) -> None:
    """Labels that the scores no longer tell are drift, in every metric that shows it."""
    found = measure_performance(joined(20, slope=0.4), settings(), reference)

    assert found.verdict == "drifted"
    assert {item.metric for item in found.judged if item.verdict == "drifted"} == {
        "roc_auc",
        "log_loss",
    }
    assert "roc_auc is 0." in found.reason
    worst = found.judged[0]
    assert worst.worse_by is not None
    assert worst.at_least is not None
    assert 0 < worst.at_least < worst.worse_by


def test_concept_drift_is_not_claimed_to_be_seen(reference: Reference) -> None:
    """The same scores with other labels: the estimate stays, says so, and only labels show it."""
    ordinary = estimate_performance(alone(20), settings(floor=0.1), reference)
    blind = estimate_performance(alone(20, slope=-2.0), settings(floor=0.1), reference)
    shown = measure_performance(joined(20, slope=-2.0), settings(floor=0.1), reference)

    assert blind.verdict == "stable"
    assert blind.metrics == ordinary.metrics
    assert blind.cannot_see == CANNOT_SEE
    assert "cannot see concept drift" in CANNOT_SEE
    assert shown.verdict == "drifted"
    assert shown.cannot_see == ""
    assert blind.metrics["roc_auc"].low is not None
    assert shown.metrics["roc_auc"].value is not None
    assert shown.metrics["roc_auc"].value < blind.metrics["roc_auc"].low - 0.2


def test_harder_rows_are_seen_before_labels(reference: Reference) -> None:
    """Scores that are less certain than they used to be are drift before any label arrives."""
    estimated = estimate_performance(alone(20, hard=0.8), settings(), reference)
    measured = measure_performance(joined(20, hard=0.8), settings(), reference)

    assert estimated.verdict == measured.verdict == "drifted"


def test_a_slice_is_found(past: Reference) -> None:
    """One depot that the model no longer understands is named, and the other is not."""
    found = measure_performance(joined(20, broken="south"), settings(), past)

    assert found.verdict == "drifted"
    assert [item.name for item in found.slices if item.verdict == "drifted"] == ["depot=south"]
    assert found.reason.startswith("depot=south drifted; ")


def test_few_labels_are_never_a_pass(past: Reference) -> None:
    """Below the wanted coverage there is no verdict on the model, however good it looks."""
    found = measure_performance(joined(20, labelled=0.5), settings(), past)

    assert found.verdict == "insufficient_data"
    assert found.coverage == 0.5
    assert found.judged == ()
    assert found.reason == (
        "labels have arrived for 700 of 1400 predictions, 50%, and 80% are wanted"
    )
    assert (
        measure_performance(
            joined(20, labelled=0.5), settings(min_coverage=0.4, floor=0.1), past
        ).verdict
        == "stable"
    )


def test_no_common_key_is_said_with_an_example(past: Reference) -> None:
    """Labels of other rows are no labels; the message shows one."""
    found = measure_performance(
        join_labels(
            batch(20)[0],
            batch(21)[1],
            key=["id"],
            prediction="score",
            label="late",
            task="classification",
            columns=COLUMNS,
        ),
        settings(),
        past,
    )
    assert found.verdict == "insufficient_data"
    assert found.reason == (
        "none of the 1400 labels belongs to a prediction, such as that of id=210000"
    )


def test_empty_tables_are_no_pass(past: Reference) -> None:
    """Nothing predicted is nothing known, with labels and without."""
    for found in (
        measure_performance(joined(20, rows=0), settings(), past),
        estimate_performance(alone(20, rows=0), settings(), past),
    ):
        assert (found.verdict, found.reason) == ("insufficient_data", "nothing was predicted")


def test_few_rows_are_no_pass(past: Reference) -> None:
    """A handful of labels cannot speak for a model."""
    found = measure_performance(joined(20, rows=20), settings(), past)
    assert (found.verdict, found.reason) == (
        "insufficient_data",
        "20 labelled rows are fewer than 30",
    )


def test_one_class_only_is_insufficient(past: Reference) -> None:
    """Where every label is the same, a ranking cannot be judged, and that is said."""
    rows = joined(20, rows=400)
    assert rows.truth is not None
    alike = Joined(
        prediction=rows.prediction,
        truth=np.zeros(400),
        columns=rows.columns,
        predictions=400,
        facts=rows.facts,
    )
    found = measure_performance(alike, settings(metrics=("roc_auc",)), past)
    assert found.verdict == "insufficient_data"
    assert found.reason == "roc_auc is not defined: every label is 0"


def test_a_wide_interval_is_not_called_stable(pinned: Reference) -> None:
    """Where a worsening of twice the floor could hide in the noise, there is no pass."""
    found = measure_performance(joined(20, rows=100), settings(floor=0.02), pinned)
    assert found.verdict == "insufficient_data"
    assert "could hide" in found.reason


def test_one_day_borrows_what_days_differ_by(pinned: Reference) -> None:
    """A single day's interval is as wide as the reference's days say, not as its rows do."""
    today = joined(20, days=1)
    found = measure_performance(today, settings(floor=0.2), pinned)
    wide = found.judged[0]
    assert wide.worse_by is not None
    assert wide.at_least is not None
    assert not found.metrics["roc_auc"].clustered
    standard = pinned.whole.standards["roc_auc"]
    assert standard.days == 49
    assert wide.worse_by - wide.at_least > 2 * 7 * standard.error


def test_without_a_reference_there_is_none() -> None:
    """A first batch is measured and kept; there is nothing to hold it against."""
    found = measure_performance(joined(20), settings(), None)
    assert (found.verdict, found.reference) == ("no_reference", "")
    assert found.metrics["roc_auc"].value is not None
    assert estimate_performance(alone(20), settings(), None).verdict == "no_reference"


def test_an_evaluations_numbers_are_a_reference(past: Reference) -> None:
    """Metrics logged with a model are what it is held against; an estimate needs counts as well."""
    numbers = {"roc_auc": 0.95, "rows": 100.0, "log_loss": float("nan")}
    title = "models:/parcels/3"
    bare = reference_of_numbers(numbers, title=title, task="classification")
    found = measure_performance(joined(20), settings(), bare)

    assert found.verdict == "drifted"
    assert [item.verdict for item in found.judged] == ["drifted", "no_reference"]
    with pytest.raises(InvalidData, match="models:/parcels/3 has no labelled counts"):
        estimate_performance(alone(20), settings(), bare)
    counted = reference_of_numbers(numbers, title=title, task="classification", counts=past)
    assert estimate_performance(alone(20), settings(), counted).verdict == "drifted"
    with pytest.raises(InvalidData, match="has no metric of a regression; it has roc_auc"):
        reference_of_numbers(numbers, title=title, task="regression")


def test_a_reference_of_another_kind_is_refused() -> None:
    """A record of another threshold is not silently compared; nor is an estimate a reference."""
    records = recorded(5)
    with pytest.raises(InvalidStep, match="and this check is a classification with 0"):
        reference_of(records, title="r", task="classification", threshold=0.3)
    known = reference_of(records, title="r", task="classification", threshold=0.5)
    guess = estimate_performance(alone(20), settings(), known).record
    with pytest.raises(InvalidData, match="is an estimate"):
        reference_of([guess], title="r", task="classification", threshold=0.5)


def test_a_metric_of_another_task_is_refused() -> None:
    """An error of a regression cannot judge a classifier."""
    with pytest.raises(InvalidStep) as caught:
        settings(metrics=("mae",))
    assert caught.value.message == "mae is no metric of a classification"


def test_a_regression_is_judged_too() -> None:
    """Errors of a regression: stable, worse by labels, and expected to be worse without."""

    def week(number: int, *, noise: float = 1.0, far: float = 10.0) -> tuple[pa.Table, pa.Table]:
        random = np.random.default_rng(number)
        predicted = random.uniform(1, far, 1400)
        truth = predicted + noise * predicted * random.normal(size=1400)
        days = [f"{number:03}-{day}" for day in np.arange(1400) % 7]
        table = pa.table({"id": np.arange(1400), "minutes": predicted, "day": days})
        return table, pa.table({"id": np.arange(1400), "took": truth})

    how: dict[str, Any] = {"model": "m", "task": "regression", "day": "day"}
    join: dict[str, Any] = {"key": ["id"], "prediction": "minutes", "label": "took"}
    join |= {"task": "regression", "columns": ["day"]}

    def check(tables: tuple[pa.Table, pa.Table], reference: Reference | None) -> Performance:
        return measure_performance(
            join_labels(*tables, **join), Settings(partition="p", **how, floor=0.1), reference
        )

    # every week is spread evenly, as a wide one is needed to see the far predictions
    records = [check(week(number, far=20.0), None).record for number in range(6)]
    reference = reference_of(records, title="r", task="regression", threshold=0.5)
    assert check(week(9, far=20.0), reference).verdict == "stable"
    assert check(week(9, far=20.0, noise=2.0), reference).verdict == "drifted"
    near = only_predictions(
        week(9, far=10.0)[0], prediction="minutes", task="regression", columns=["day"]
    )
    estimated = estimate_performance(near, Settings(partition="p", **how), reference)
    shown = check(week(9, far=10.0), reference)
    assert estimated.metrics["mae"].value == pytest.approx(shown.metrics["mae"].value, rel=0.1)


def test_records_come_back_from_the_store(tmp_path: Path) -> None:
    """A record is one small file a batch; only ordinary ones before a batch are its past."""
    store = FolderStore(tmp_path)
    for record in recorded(3):
        write_record(store, "performance", record)
    worse = recorded(1)[0].model_copy(update={"verdict": "drifted", "partition": "2024-05-29"})
    write_record(store, "performance", worse)
    estimate = worse.model_copy(update={"estimated": True, "verdict": "stable"})
    key, content = write_record(store, "performance", estimate)

    def before(day: str, limit: int = 9) -> list[str]:
        found = past_records(store, "performance", "parcels", before=day, limit=limit)
        return [record.partition for record in found]

    assert key == "performance/parcels/2024-05-29.estimate.json"
    assert len(content) < 20_000
    assert before("2024-06-30") == ["2024-05-06", "2024-05-13", "2024-05-20"]
    assert before("2024-05-20") == ["2024-05-06", "2024-05-13"]
    assert before("2024-06-30", limit=1) == ["2024-05-20"]
    assert read_record(store, "performance/parcels/2024-05-06.json") == recorded(1)[0]
    assert past_records(store, "performance", "parcel", before="9", limit=9) == []


def test_a_name_never_leaves_its_folder() -> None:
    """Slashes in a model's or partition's name are part of the name."""
    assert record_key("p", "../a/b", "x/y") == "p/..%2Fa%2Fb/x%2Fy.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is no record of a performance"),
        (b"[]", "is no record of a performance"),
        (b'{"format": "backbeat.performance/v2"}', "is of the format backbeat.performance/v2"),
    ],
)
def test_a_damaged_or_newer_record_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """What cannot be read is an error with a hint, not an empty past."""
    store = FolderStore(tmp_path)
    store.write("performance/m/1.json", content)
    with pytest.raises(InvalidData, match=message) as caught:
        past_records(store, "performance", "m", before="2", limit=1)
    assert caught.value.hint


def test_fields_of_a_newer_minor_are_ignored(tmp_path: Path) -> None:
    """A record with something more in it is still read."""
    store = FolderStore(tmp_path)
    known = recorded(1)[0]
    text = known.model_dump_json(exclude_none=True)
    store.write("a.json", text.replace("{", '{"later": 1, ', 1).encode())
    assert read_record(store, "a.json") == known


def test_drift_of_the_predictions_is_drift_of_their_column() -> None:
    """A profile of past scores finds scores that moved: prediction drift needs nothing else."""
    from pyarrow import dataset

    from backbeat.drift import build_profile, decide

    def scores(week: int, **fields: Any) -> Any:
        return dataset.dataset(batch(week, rows=6000, **fields)[0].select(["score"]))

    profile = build_profile(scores(0), columns=("score",))

    def verdict(current: Any) -> str:
        moved = build_profile(current, columns=("score",), edges_from=profile)
        return decide(profile, moved).verdict

    assert verdict(scores(1)) == "stable"
    assert verdict(scores(1, hard=0.6)) == "drifted"
