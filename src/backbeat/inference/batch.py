"""Batch scoring: every row exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backbeat.data import reading, require_columns
from backbeat.errors import BackbeatError, Conflict, InvalidData, InvalidStep, UserCodeFailed
from backbeat.inference.manifest import file_digest, finished_shard, publish, record_shard
from backbeat.inference.scores import as_scores
from backbeat.inference.shards import Shard, plan, shard_key, slices
from backbeat.ports import Store

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["Scored", "score"]


class Model(Protocol):
    """What scores a data frame."""

    def predict(self, frame: Any, /) -> Any:
        """One prediction a row of a `pandas.DataFrame`."""


@dataclass(frozen=True)
class Scored:
    """What batch scoring did.

    Args:
        rows: Rows scored, all of the input.
        shards: Number of shards.
        reused: Shards that an earlier attempt had scored.
        files: Store keys of the output, in the order of the input.
        digest: Of the manifest: the same input, model and parameters give the same.
        model_version: The model.
    """

    rows: int
    shards: int
    reused: int
    files: tuple[str, ...]
    digest: str
    model_version: str


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
    keys = list(key_columns)
    inputs = [name for name in data.schema.names if name not in keys]
    inputs = inputs if features is None else list(features)
    _check_columns(data, keys, inputs, column)
    _check_keys(data, keys)
    work = _Work(store, output, keys, inputs, column, model_version, input_digest, partition)
    parameters = {**work.parameters(), "shard_rows": shard_rows}
    shards = plan(data.count_rows(), shard_rows)
    names = [
        shard_key(
            shard, input_digest=input_digest, model_version=model_version, parameters=parameters
        )
        for shard in shards
    ]
    found = ((shard.index, finished_shard(store, output, names[shard.index])) for shard in shards)
    entries = {index: entry for index, entry in found if entry is not None}
    reused = len(entries)
    if reused:
        progress(reused, len(shards))
    if reused < len(shards):
        for shard, rows in slices(data, shards, list(dict.fromkeys([*keys, *inputs]))):
            if shard.index not in entries:
                ensure_current()
                entries[shard.index] = work.done(shard, names[shard.index], rows, model)
                progress(len(entries), len(shards))
    parts = [entries[shard.index] for shard in shards]
    total = sum(entry["rows"] for entry in parts)
    if total != shards[-1].stop:
        raise Conflict(
            f"{total} rows were scored of {shards[-1].stop}.",
            hint=f"look at {output}/_manifest for entries that somebody else has written",
        )
    files = tuple(f"{output}/{entry['file']}" for entry in parts)
    if accept is not None:
        accept(files)
    ensure_current()
    published = publish(
        store,
        output,
        {
            "model_version": model_version,
            "input_digest": input_digest,
            "parameters": parameters,
            "rows": total,
            "files": [
                {name: entry[name] for name in ("file", "rows", "digest")} for entry in parts
            ],
        },
    )
    return Scored(
        rows=total,
        shards=len(shards),
        reused=reused,
        files=files,
        digest=published,
        model_version=model_version,
    )


@dataclass(frozen=True)
class _Work:
    """What is the same for every shard of one scoring."""

    store: Store
    output: str
    keys: list[str]
    features: list[str]
    column: str
    model_version: str
    input_digest: str
    partition: str | None

    def parameters(self) -> dict[str, Any]:
        """All that a shard's file depends on besides rows and model."""
        return {
            "features": self.features,
            "key": self.keys,
            "column": self.column,
            "partition": self.partition,
        }

    def done(self, shard: Shard, key: str, rows: pa.Table, model: Model) -> dict[str, Any]:
        """Score one shard, write its file, then its entry."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        numbers = _predict(model, rows.select(self.features), shard)
        table = rows.select(self.keys).append_column(self.column, pa.array(numbers, pa.float64()))
        labels = {"model_version": self.model_version, "partition": self.partition}
        for name, value in labels.items():
            if value is not None:
                table = table.append_column(name, pa.array([value] * len(table), pa.string()))
        file = f"part-{shard.index:05d}-{key.removeprefix('sha256:')[:12]}.parquet"
        with self.store.writing(f"{self.output}/{file}") as path:
            pq.write_table(table.replace_schema_metadata(None), path)
            written = file_digest(path.read_bytes())
        entry = {
            "shard": shard.index,
            "rows": shard.rows,
            "file": file,
            "digest": written,
            "model_version": self.model_version,
            "input_digest": self.input_digest,
        }
        return record_shard(self.store, self.output, key, entry)


def _check_columns(data: ds.Dataset, keys: list[str], features: list[str], column: str) -> None:
    require_columns(data, [*keys, *features], what="data to score")
    if not features:
        raise InvalidStep("The model would get no columns.", hint="name its features")
    written = [*keys, column, "model_version", "partition"]
    if len(set(written)) < len(written):
        raise InvalidStep(
            f"The output's columns would not differ: {', '.join(written)}.",
            hint="choose another `column`, or rename the key column",
        )


def _check_keys(data: ds.Dataset, keys: list[str]) -> None:
    import pyarrow.compute as pc

    if not keys:
        return
    with reading("data to score"):
        table = data.to_table(columns=keys)
    for name in keys:
        if table[name].null_count:
            raise InvalidData(
                f"The key column {name} is null in {table[name].null_count} rows.",
                hint="repair the input; a row without a key cannot be told from another",
            )
    counted = table.group_by(keys).aggregate([([], "count_all")])
    repeated = counted.filter(pc.greater(counted["count_all"], 1))
    if len(repeated):
        example = ", ".join(f"{name}={repeated[name][0].as_py()!r}" for name in keys)
        raise InvalidData(
            f"{len(repeated)} keys come more than once, such as {example}; nothing was written.",
            hint="remove the copies from the input, or name more key columns",
        )


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
