"""Predictions beside the labels that have arrived; what does not fit is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backbeat.drift.performance.measured import Task
from backbeat.errors import ContractBroken, InvalidData

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Joined", "join_labels", "only_predictions"]

_NAMED = 3  # examples of keys that are named
# columns of our own while tables are joined
_KEYED, _VALUE = "backbeat row", "backbeat value"


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Rows to judge a model by.

    Args:
        prediction: Shape (n,).
        truth: The labels of the same rows, shape (n,); None where there are none to join.
        columns: The columns asked for, of the same rows.
        predictions: Distinct keys that were predicted.
        facts: Counts of what did not fit, by name.
        examples: A few keys of each of those.
    """

    prediction: NDArray[np.float64]
    truth: NDArray[np.float64] | None
    columns: pa.Table
    predictions: int
    facts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Share of the predictions whose label has arrived; 0 where nothing was predicted."""
        return len(self.prediction) / self.predictions if self.predictions else 0.0


def only_predictions(
    predictions: pa.Table, *, prediction: str, task: Task, columns: Sequence[str] = ()
) -> Joined:
    """The predictions alone, for an estimate.

    Raises:
        InvalidData: A prediction is missing, infinite, or no probability where one is wanted.
        ContractBroken: Predictions are no numbers.
    """
    scores = _predicted(predictions[prediction], prediction, task)
    return Joined(
        prediction=scores,
        truth=None,
        columns=predictions.select(list(dict.fromkeys(columns))),
        predictions=len(scores),
    )


def join_labels(
    predictions: pa.Table,
    labels: pa.Table,
    *,
    key: Sequence[str],
    prediction: str,
    label: str,
    task: Task,
    columns: Sequence[str] = (),
) -> Joined:
    """Put each prediction beside its label, where that has arrived.

    A row that comes twice with the same value counts once. A key that comes with different values
    is left out, because nobody can say which of them holds; like a label that has not arrived it
    lowers the coverage. A null or NaN label has not arrived.

    Args:
        predictions: The key, the prediction, and `columns`.
        labels: The key, the label, and whatever of `columns` the predictions do not have.
        key: Columns that identify a row in both.
        prediction: The predictions' column: probabilities of class 1 for classification.
        label: The labels' column: 0 and 1 (or booleans) for classification.
        task: `classification` or `regression`.
        columns: Columns to bring along, such as the day.

    Returns:
        The labelled rows. `facts` counts `repeated_predictions`, `conflicting_predictions`,
        `repeated_labels`, `conflicting_labels` and `labels_without_prediction`.

    Raises:
        InvalidData: A prediction is missing, infinite or out of range; a label is of another class.
        ContractBroken: Predictions or labels are no numbers, or the keys' types differ.
    """
    scores = _predicted(predictions[prediction], prediction, task)
    truth = _labels(labels[label], label, task)
    ours, theirs = _keys(predictions, labels, key)
    facts: dict[str, int] = {}
    examples: dict[str, list[str]] = {}

    def one_each(table: pa.Table, values: NDArray[np.float64], what: str) -> pa.Table:
        single, repeated, conflicting = _one_each(table, values, key)
        facts[f"repeated_{what}"] = repeated
        facts[f"conflicting_{what}"] = len(conflicting)
        examples[f"conflicting_{what}"] = _examples(conflicting, key)
        return single

    known = ~np.isnan(truth)
    predicted = one_each(ours, scores, "predictions")
    arrived = one_each(theirs.filter(known), truth[known], "labels")
    # every key that was predicted, so that the label of a conflicting prediction has its own
    alone = arrived.join(ours, list(key), join_type="left anti")
    facts["labels_without_prediction"] = len(alone)
    examples["labels_without_prediction"] = _examples(alone, key)

    right = arrived.rename_columns([*key, f"{_KEYED} label"])
    both = predicted.join(right, list(key), join_type="inner").sort_by(_KEYED)
    rows = both[_KEYED].to_numpy()
    label_rows = both[f"{_KEYED} label"].to_numpy()
    label_rows = np.flatnonzero(known)[label_rows]
    return Joined(
        prediction=scores[rows],
        truth=truth[label_rows],
        columns=_brought(predictions, rows, labels, label_rows, columns),
        predictions=len(predicted) + facts["conflicting_predictions"],
        facts=facts,
        examples={name: keys for name, keys in examples.items() if keys},
    )


def _one_each(
    table: pa.Table, values: NDArray[np.float64], key: Sequence[str]
) -> tuple[pa.Table, int, pa.Table]:
    """Each key's first row number; how many rows only repeat; the keys that contradict."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbered = table.append_column(_VALUE, pa.array(values)).append_column(
        _KEYED, pa.array(np.arange(len(table)))
    )
    by_key = numbered.group_by(list(key), use_threads=False).aggregate(
        [(_VALUE, "min"), (_VALUE, "max"), (_KEYED, "min"), (_KEYED, "count")]
    )
    same = pc.equal(by_key[f"{_VALUE}_min"], by_key[f"{_VALUE}_max"])
    single = by_key.filter(same)
    repeated = int(pc.sum(single[f"{_KEYED}_count"]).as_py() or 0) - len(single)
    kept = single.select([*key, f"{_KEYED}_min"]).rename_columns([*key, _KEYED])
    return kept, repeated, by_key.filter(pc.invert(same)).select(list(key))


def _brought(
    predictions: pa.Table,
    rows: NDArray[np.int64],
    labels: pa.Table,
    label_rows: NDArray[np.int64],
    columns: Sequence[str],
) -> pa.Table:
    import pyarrow as pa

    found = {}
    for name in dict.fromkeys(columns):
        ours = name in predictions.column_names
        source, place = (predictions, rows) if ours else (labels, label_rows)
        found[name] = source[name].take(pa.array(place))
    return pa.table(found)


def _predicted(column: pa.ChunkedArray, name: str, task: Task) -> NDArray[np.float64]:
    values = _numbers(column, name, "predictions")
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise InvalidData(
            f"{bad} of {len(values)} predictions ({name}) are missing or infinite",
            hint="look for nulls in the features that were scored, and score those rows again",
        )
    if task == "classification" and len(values) and (values.min() < 0 or values.max() > 1):
        raise InvalidData(
            f"the predictions ({name}) reach from {values.min():g} to {values.max():g}, and are no "
            "probabilities",
            hint="score with `predict_proba`; a regression has task='regression'",
        )
    return values


def _labels(column: pa.ChunkedArray, name: str, task: Task) -> NDArray[np.float64]:
    values = _numbers(column, name, "labels")
    if np.isinf(values).any():
        raise InvalidData(
            f"{int(np.isinf(values).sum())} labels ({name}) are infinite",
            hint="repair the labels; one that has not arrived is null",
        )
    known = values[~np.isnan(values)]
    others = np.unique(known[~np.isin(known, (0, 1))]) if task == "classification" else known[:0]
    if len(others):
        raise InvalidData(
            f"the labels ({name}) hold {others[0]:g}, and a classifier's are 0 and 1",
            hint="map the classes to 0 and 1; a regression has task='regression'",
        )
    return values


def _numbers(column: pa.ChunkedArray, name: str, what: str) -> NDArray[np.float64]:
    import pyarrow as pa

    kind = column.type
    whole = pa.types.is_boolean(kind) or pa.types.is_integer(kind)
    if not (whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        if pa.types.is_null(kind):
            return np.full(len(column), np.nan)
        raise ContractBroken(
            f"the {what} ({name}) are {kind} and not numbers",
            hint="write them as numbers; the classes of a classifier are 0 and 1",
        )
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _keys(predictions: pa.Table, labels: pa.Table, key: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """The key columns of both, where they differ in nothing but how they are laid out."""
    import pyarrow as pa

    sides: list[dict[str, Any]] = [{}, {}]
    for name in key:
        pair = [_plain(table[name]) for table in (predictions, labels)]
        if pair[0].type != pair[1].type:
            raise ContractBroken(
                f"{name} is {predictions[name].type} in the predictions and {labels[name].type} in "
                "the labels",
                hint="write the key with one type on both sides",
            )
        for side, column, what in zip(sides, pair, ("predictions", "labels"), strict=True):
            if column.null_count:
                raise InvalidData(
                    f"the key column {name} is null in {column.null_count} rows of the {what}",
                    hint="repair the data; a row without a key cannot be told from another",
                )
            side[name] = column
    return pa.table(sides[0]), pa.table(sides[1])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    text = pa.types.is_string(column.type) or pa.types.is_string_view(column.type)
    return column.cast(pa.large_string()) if text else column


def _examples(table: pa.Table, key: Sequence[str]) -> list[str]:
    rows = table.select(list(key)).slice(0, _NAMED).to_pylist()
    return [", ".join(f"{name}={value}" for name, value in row.items()) for row in rows]
