"""Batch scoring: every row exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from backbeat.errors import BackbeatError, UserCodeFailed
from backbeat.inference.scores import as_scores
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.shards import Shard, slices
from backbeat.ports import Store

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["score"]


class Model(Protocol):
    """What scores a data frame."""

    def predict(self, frame: Any, /) -> Any:
        """One prediction a row of a `pandas.DataFrame`."""


def score(
    data: ds.Dataset,
    *,
    input_digest: str,
    model: Model,
    model_version: str,
    store: Store,
    output: str,
    key_columns: Sequence[str],
    features: Sequence[str] | None = None,
    column: str = "score",
    shard_rows: int = 10_000,
    partition: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    ensure_current: Callable[[], None] = lambda: None,
    accept: Callable[[Sequence[str]], None] | None = None,
) -> Scored:
    """Score a table in shards; an attempt after a crash scores only the shards that are missing.

    A shard's file is written under another name, synced and renamed, then its entry is created
    under a key of input, model, parameters and position. Rows stream through; besides about one
    shard, only the key columns are held in memory, to see that no key comes twice.

    Args:
        data: What to score, an open `pyarrow.dataset.Dataset` whose order does not change.
        input_digest: Digest of its files, such as `backbeat.data.pinned_digest` gives.
        model: Has `predict(pandas.DataFrame)`, which gives one number or two probabilities a row.
        model_version: Names the model, `models:/<name>/<version>` where it is registered; another
            version is scored anew.
        store: Where the scores go.
        output: Store prefix of the scores.
        key_columns: Columns that identify a row, copied to the output; none are checked if empty.
        features: Columns that the model gets; all but the key where None.
        column: Name of the score's column.
        shard_rows: Rows of a shard: what one crash can cost.
        partition: Written into a `partition` column, where given.
        progress: Called with shards done and shards in all: for what is reused, then each shard.
        ensure_current: Called before each shard is scored and before the manifest is replaced;
            raises FencedOut where a later attempt has taken over.
        accept: Called with the files' store keys before the manifest names them; raises where
            they must not be published. The shards stay for a later attempt.

    Raises:
        InvalidData: A key comes twice or is null, or the model gives no number for a row.
        ContractBroken: A column is missing.
        UserCodeFailed: The model raised.
        Conflict: The input changed while it was read.
        StorageFull: The disk is full; a retry goes on where this one stopped.
    """
    import pyarrow as pa

    keys = list(key_columns)
    inputs = [name for name in data.schema.names if name not in keys]
    inputs = inputs if features is None else list(features)
    scoring = Scoring(
        data=data,
        input_digest=input_digest,
        model_version=model_version,
        store=store,
        output=output,
        keys=keys,
        features=inputs,
        partition=partition,
        shard_rows=shard_rows,
        parameters={"features": inputs, "key": keys, "column": column, "partition": partition},
    )
    scoring.refuse_columns([column])
    reused = scoring.begin()
    total = len(scoring.shards)
    if reused:
        progress(reused, total)
    if reused < total:
        for shard, rows in slices(data, scoring.shards, list(dict.fromkeys([*keys, *inputs]))):
            if shard.index not in scoring.entries:
                ensure_current()
                numbers = _predict(model, rows.select(inputs), shard)
                scores = rows.select(keys).append_column(column, pa.array(numbers, pa.float64()))
                scoring.record(shard, scores)
                progress(len(scoring.entries), total)
    return scoring.finish(ensure_current=ensure_current, accept=accept, reused=reused)


def _predict(model: Model, rows: pa.Table, shard: Shard) -> Any:
    if shard.rows == 0:
        return []
    try:
        prediction = model.predict(rows.to_pandas())
    except BackbeatError:
        raise
    except Exception as error:
        raise UserCodeFailed(
            f"The model raised {type(error).__name__} on the rows {shard.start} to "
            f"{shard.stop - 1}: {error}.",
            hint="score these rows by hand; the shards before them are kept",
        ) from error
    return as_scores(prediction, shard.rows)
