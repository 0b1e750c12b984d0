"""What every batch scoring has in common: its shards, what of them is done, and its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backbeat.data import reading, require_columns
from backbeat.errors import Conflict, InvalidData, InvalidStep
from backbeat.inference.cutting import shard_rows_within
from backbeat.inference.manifest import file_digest, finished_shard, publish, record_shard
from backbeat.inference.shards import Shard, plan, shard_key
from backbeat.ports import Store

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["Scored", "Scoring"]


@dataclass(frozen=True)
class Scored:
    """What batch scoring did.

    Args:
        rows: Rows of the input, all of them.
        shards: Number of shards.
        reused: Shards that an earlier attempt had scored.
        files: Store keys of the output, in the order of the input.
        digest: Of the manifest: the same input, model and parameters give the same.
        model_version: The model.
        bad: Rows that the model refused; they are in the side files and not in the output.
    """

    rows: int
    shards: int
    reused: int
    files: tuple[str, ...]
    digest: str
    model_version: str
    bad: int = 0


@dataclass
class Scoring:
    """One scoring of one table; made for `begin`.

    Args:
        data: What to score.
        input_digest: Digest of its files.
        model_version: The model; another one is scored anew.
        store: Where the scores go.
        output: Store prefix of the scores.
        keys: Columns that identify a row.
        features: Columns that the model gets.
        partition: Written into a `partition` column, where given.
        shard_rows: Rows of a shard; fewer where they hold images or other large bytes.
        parameters: JSON of all else that the scores or their file depend on.
    """

    data: ds.Dataset
    input_digest: str
    model_version: str
    store: Store
    output: str
    keys: list[str]
    features: list[str]
    partition: str | None
    shard_rows: int
    parameters: Mapping[str, Any]
    shards: tuple[Shard, ...] = ()
    names: list[str] = field(default_factory=list)
    entries: dict[int, dict[str, Any]] = field(default_factory=dict)

    def begin(self) -> int:
        """Plan the shards, and find those that an earlier attempt has done; returns how many.

        Raises:
            InvalidData: A key comes twice or is null.
            ContractBroken: A column is missing.
            InvalidStep: The model would get no column, or two of the output would have one name.
        """
        require_columns(self.data, [*self.keys, *self.features], what="data to score")
        if not self.features:
            raise InvalidStep("The model would get no columns.", hint="name its features")
        self.refuse_columns(())
        _check_keys(self.data, self.keys)
        columns = [*self.keys, *self.features]
        self.shard_rows = shard_rows_within(self.data, columns, self.shard_rows)
        self.shards = plan(self.data.count_rows(), self.shard_rows)
        self.names = [
            shard_key(
                shard,
                input_digest=self.input_digest,
                model_version=self.model_version,
                parameters={**self.parameters, "shard_rows": self.shard_rows},
            )
            for shard in self.shards
        ]
        for shard in self.shards:
            found = finished_shard(self.store, self.output, self.names[shard.index])
            if found is not None:
                self.entries[shard.index] = found
        return len(self.entries)

    def refuse_columns(self, outputs: Sequence[str]) -> None:
        """Raise InvalidStep where two columns of the output would have one name."""
        written = [*self.keys, *outputs, "model_version", "partition"]
        if len(set(written)) < len(written):
            raise InvalidStep(
                f"The output's columns would not differ: {', '.join(written)}.",
                hint="choose another `column`, or rename the key column",
            )

    def record(
        self,
        shard: Shard,
        table: pa.Table,
        bad: pa.Table | None = None,
        *,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        """Write a shard's file, then its entry.

        Args:
            shard: Which one.
            table: Keys and outputs, in the order of the input.
            bad: Keys and errors of the rows that were refused, in the order of the input.
            provenance: Where the scores come from.
        """
        key = self.names[shard.index]
        part = f"part-{shard.index:05d}-{key.removeprefix('sha256:')[:12]}.parquet"
        entry = {
            "shard": shard.index,
            "rows": len(table),
            **self._written(part, self._labelled(table)),
            "model_version": self.model_version,
            "input_digest": self.input_digest,
        }
        if bad is not None and len(bad):
            entry["bad"] = {"rows": len(bad), **self._written(f"_bad/{part}", bad)}
        if provenance:
            entry["provenance"] = dict(provenance)
        entry = record_shard(self.store, self.output, key, entry)
        self.entries[shard.index] = entry

    def finish(
        self,
        *,
        ensure_current: Callable[[], None],
        accept: Callable[[Sequence[str]], None] | None,
        reused: int,
    ) -> Scored:
        """Publish the manifest.

        Args:
            ensure_current: Raises FencedOut where a later attempt has taken over.
            accept: Called with the files' store keys; raises where they must not be published.
            reused: Shards that were done before.

        Raises:
            Conflict: The entries are not all of the input's rows.
        """
        parts = [self.entries[shard.index] for shard in self.shards]
        bad = sum(part["bad"]["rows"] for part in parts if "bad" in part)
        total = sum(part["rows"] for part in parts) + bad
        if total != self.shards[-1].stop:
            raise Conflict(
                f"{total} rows were scored of {self.shards[-1].stop}.",
                hint=f"look at {self.output}/_manifest for entries that somebody else has written",
            )
        files = tuple(f"{self.output}/{part['file']}" for part in parts)
        if accept is not None:
            accept(files)
        ensure_current()
        named = ("file", "rows", "digest")
        manifest: dict[str, Any] = {
            "model_version": self.model_version,
            "input_digest": self.input_digest,
            "parameters": {**self.parameters, "shard_rows": self.shard_rows},
            "rows": total - bad,
            "files": [{name: part[name] for name in named} for part in parts],
        }
        if bad:
            refused = [part["bad"] for part in parts if "bad" in part]
            manifest["bad"] = [{name: part[name] for name in named} for part in refused]
        origins = [part["provenance"] for part in parts if "provenance" in part]
        if origins:
            # one, unless the server was replaced between two attempts
            manifest["provenance"] = [
                one for at, one in enumerate(origins) if one not in origins[:at]
            ]
        return Scored(
            rows=total,
            shards=len(self.shards),
            reused=reused,
            files=files,
            digest=publish(self.store, self.output, manifest),
            model_version=self.model_version,
            bad=bad,
        )

    def _labelled(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        labels = {"model_version": self.model_version, "partition": self.partition}
        for name, value in labels.items():
            if name in table.column_names:
                # another model has answered some rows, and said so
                ours = pc.fill_null(table.column(name), self.model_version)
                table = table.drop_columns([name]).append_column(name, ours)
            elif value is not None:
                table = table.append_column(
                    name, pa.repeat(pa.scalar(value, pa.string()), len(table))
                )
        return table

    def _written(self, file: str, table: pa.Table) -> dict[str, Any]:
        import pyarrow.parquet as pq

        with self.store.writing(f"{self.output}/{file}") as path:
            # scores hardly repeat: looking for it takes a third of the time
            texts = [field.name for field in table.schema if not _is_number(field.type)]
            pq.write_table(table.replace_schema_metadata(None), path, use_dictionary=texts)
            return {"file": file, "digest": file_digest(path.read_bytes())}


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _check_keys(data: ds.Dataset, keys: list[str]) -> None:
    """Raise InvalidData where a key is null or comes twice."""
    if not keys or _ascend(data, keys):
        return
    hashes = _all_hashes(data, keys)
    hashes.sort()
    if bool((hashes[1:] == hashes[:-1]).any()):
        # two keys may share a hash: now they are compared themselves
        _refuse_repeated(data, keys)


def _ascend(data: ds.Dataset, keys: list[str]) -> bool:
    """Whether the keys are integers in ascending order, as they mostly are; nothing is held."""
    import pyarrow as pa

    if len(keys) > 1 or not pa.types.is_integer(data.schema.field(keys[0]).type):
        return False
    last = None
    for batch in _key_batches(data, keys):
        values = batch.column(0).to_numpy()
        if not len(values):
            continue
        if last is not None and values[0] <= last:
            return False
        if not bool((values[1:] > values[:-1]).all()):
            return False
        last = values[-1]
    return True


def _all_hashes(data: ds.Dataset, keys: list[str]) -> Any:
    """Eight bytes for each row."""
    import numpy as np

    hashes = np.empty(data.count_rows(), np.uint64)
    done = 0
    for batch in _key_batches(data, keys):
        stop = done + batch.num_rows
        if stop > len(hashes):
            break  # it changed while it was read, which scoring will notice
        hashes[done:stop] = _hashes(batch)
        done = stop
    return hashes[:done]


def _key_batches(data: ds.Dataset, keys: list[str]) -> Iterator[pa.RecordBatch]:
    with reading("data to score"):
        for batch in data.to_batches(columns=keys, batch_readahead=2, fragment_readahead=1):
            for name in keys:
                if batch.column(name).null_count:
                    raise InvalidData(
                        f"The key column {name} is null in some rows.",
                        hint="repair the input; a row without a key cannot be told from another",
                    )
            yield batch


def _hashes(batch: pa.RecordBatch) -> Any:
    """64 bits for each row; the same key has the same ones."""
    import pandas as pd

    frame = batch.to_pandas()
    return pd.util.hash_pandas_object(frame, index=False, categorize=False).to_numpy()


def _refuse_repeated(data: ds.Dataset, keys: list[str]) -> None:
    import pyarrow.compute as pc

    with reading("data to score"):
        table = data.to_table(columns=keys)
    counted = table.group_by(keys).aggregate([([], "count_all")])
    repeated = counted.filter(pc.greater(counted["count_all"], 1))
    if len(repeated):
        example = ", ".join(f"{name}={repeated[name][0].as_py()!r}" for name in keys)
        raise InvalidData(
            f"{len(repeated)} keys come more than once, such as {example}; nothing was written.",
            hint="remove the copies from the input, or name more key columns",
        )
