from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from backbeat.drift.performance import Joined, join_labels, only_predictions
from backbeat.errors import ContractBroken, InvalidData


def join(predictions: dict[str, Any], labels: dict[str, Any], **fields: Any) -> Joined:
    """Join two tables by `id`."""
    known = {"key": ["id"], "prediction": "score", "label": "late", "task": "classification"}
    return join_labels(pa.table(predictions), pa.table(labels), **{**known, **fields})


def test_each_prediction_meets_its_label() -> None:
    """Rows are paired by their key, whatever their order; coverage counts what has arrived."""
    found = join(
        {"id": ["a", "b", "c", "d"], "score": [0.1, 0.2, 0.3, 0.4], "day": [1, 1, 2, 2]},
        {"id": ["d", "a"], "late": [1, 0], "origin": ["JFK", "LGA"]},
        columns=["day", "origin"],
    )

    assert found.prediction.tolist() == [0.1, 0.4]
    assert found.truth is not None
    assert found.truth.tolist() == [0, 1]
    assert found.columns.to_pydict() == {"day": [1, 2], "origin": ["LGA", "JFK"]}
    assert (found.predictions, found.coverage) == (4, 0.5)


def test_a_repeated_row_counts_once() -> None:
    """A feed that delivers a row twice changes nothing, and is counted."""
    found = join(
        {"id": [1, 2, 2], "score": [0.1, 0.2, 0.2]}, {"id": [1, 1, 1, 2], "late": [0, 0, 0, 1]}
    )

    assert found.prediction.tolist() == [0.1, 0.2]
    assert found.predictions == 2
    assert found.facts["repeated_predictions"] == 1
    assert found.facts["repeated_labels"] == 2


def test_a_contradiction_is_left_out_and_named() -> None:
    """Nobody can say which of two values holds: the row lowers the coverage, its key is named."""
    found = join(
        {"id": [1, 2, 2, 3], "score": [0.1, 0.2, 0.9, 0.3]},
        {"id": [1, 1, 2, 3], "late": [0, 1, 1, 1]},
    )

    assert found.prediction.tolist() == [0.3]
    assert found.coverage == pytest.approx(1 / 3)
    assert found.facts["conflicting_predictions"] == 1
    assert found.facts["conflicting_labels"] == 1
    assert found.facts["labels_without_prediction"] == 0
    assert found.examples == {"conflicting_predictions": ["id=2"], "conflicting_labels": ["id=1"]}


def test_labels_without_prediction_are_named() -> None:
    """Labels of rows that nobody predicted are counted, and a few of them shown."""
    found = join({"id": [1], "score": [0.1]}, {"id": [7, 8, 9, 10], "late": [0, 1, 0, 1]})

    assert found.coverage == 0
    assert found.facts["labels_without_prediction"] == 4
    assert found.examples["labels_without_prediction"] == ["id=7", "id=8", "id=9"]


@pytest.mark.parametrize("absent", [None, float("nan")])
def test_a_null_label_has_not_arrived(absent: Any) -> None:
    """A null or NaN label is no label, whatever its key."""
    found = join({"id": [1, 2], "score": [0.1, 0.2]}, {"id": [1, 2], "late": [absent, 1.0]})

    assert found.prediction.tolist() == [0.2]
    assert found.coverage == 0.5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pa.array([1, 2], pa.int64()), pa.array([1, 2], pa.uint8())),
        (pa.array(["a", "b"]), pa.array(["a", "b"]).dictionary_encode()),
        (pa.array(["a", "b"], pa.large_string()), pa.array(["a", "b"], pa.string_view())),
    ],
    ids=["integers", "dictionary", "texts"],
)
def test_a_key_may_be_laid_out_differently(ours: pa.Array, theirs: pa.Array) -> None:
    """The same values in another layout are the same key."""
    labels = {"id": theirs, "late": [True, False]}
    assert join({"id": ours, "score": [0.1, 0.2]}, labels).coverage == 1


def test_several_columns_can_be_the_key() -> None:
    """A key of two columns joins on both."""
    found = join(
        {"id": [1, 1], "day": ["x", "y"], "score": [0.1, 0.2]},
        {"id": [1, 1], "day": ["y", "x"], "late": [1, 0]},
        key=["id", "day"],
    )
    assert found.truth is not None
    assert sorted(zip(found.prediction, found.truth, strict=True)) == [(0.1, 0), (0.2, 1)]


@pytest.mark.parametrize(
    ("predictions", "labels", "kind", "message"),
    [
        (
            {"id": [1], "score": [0.1]},
            {"id": ["1"], "late": [1]},
            ContractBroken,
            "id is int64 in the predictions and string in the labels",
        ),
        (
            {"id": [1, None], "score": [0.1, 0.2]},
            {"id": [1], "late": [1]},
            InvalidData,
            "the key column id is null in 1 rows of the predictions",
        ),
        (
            {"id": [1, 2], "score": [0.1, float("nan")]},
            {"id": [1], "late": [1]},
            InvalidData,
            "1 of 2 predictions (score) are missing or infinite",
        ),
        (
            {"id": [1], "score": [1.5]},
            {"id": [1], "late": [1]},
            InvalidData,
            "the predictions (score) reach from 1.5 to 1.5, and are no probabilities",
        ),
        (
            {"id": [1], "score": ["high"]},
            {"id": [1], "late": [1]},
            ContractBroken,
            "the predictions (score) are string and not numbers",
        ),
        (
            {"id": [1], "score": [0.1]},
            {"id": [1], "late": ["yes"]},
            ContractBroken,
            "the labels (late) are string and not numbers",
        ),
        (
            {"id": [1], "score": [0.1]},
            {"id": [1], "late": [2]},
            InvalidData,
            "the labels (late) hold 2, and a classifier's are 0 and 1",
        ),
        (
            {"id": [1], "score": [0.1]},
            {"id": [1], "late": [float("inf")]},
            InvalidData,
            "1 labels (late) are infinite",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(
    predictions: dict[str, Any], labels: dict[str, Any], kind: type[InvalidData], message: str
) -> None:
    """Bad predictions, labels and keys are an error that names the column and what to do."""
    with pytest.raises(kind) as caught:
        join(predictions, labels)
    assert type(caught.value) is kind
    assert caught.value.message == message
    assert caught.value.hint


def test_empty_tables_join_to_nothing() -> None:
    """Without rows on one side or both there is no coverage, and no error."""
    none = {"id": pa.array([], pa.int64())}
    nothing = join({**none, "score": pa.array([], pa.float64())}, {"id": [1], "late": [1]})
    assert (nothing.predictions, nothing.coverage) == (0, 0)
    unlabelled = join({"id": [1], "score": [0.1]}, {**none, "late": pa.array([], pa.int8())})
    assert (unlabelled.predictions, unlabelled.coverage) == (1, 0)


def test_a_regression_takes_any_number() -> None:
    """Values beyond 0 and 1 are a regression's daily bread."""
    predictions = pa.table({"minutes": pa.array([-5, 300])})
    found = only_predictions(predictions, prediction="minutes", task="regression")
    assert found.prediction.tolist() == [-5, 300]
    assert found.truth is None
