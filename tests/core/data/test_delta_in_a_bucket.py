"""Scores in a bucket, and their Delta table beside them, whose commits S3 itself decides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from backbeat.data import open_store
from backbeat.inference import score
from backbeat.inference.delta import publish_delta


class Double:
    """Scores a row with twice its x."""

    def predict(self, frame: Any) -> Any:
        return frame["x"].to_numpy() * 2


def test_workers_at_once_commit_every_row_once(s3: Any) -> None:
    """Two outputs by four workers, one table: each is committed once and all rows are there."""
    store = open_store(f"{s3.bucket('delta-scores')}/pre fix")
    outputs = ["scores/a=1", "scores/it's"]
    for at, output in enumerate(outputs):
        ids = [at * 10 + row for row in range(5)]
        score(
            ds.dataset(pa.table({"id": ids, "x": [float(each) for each in ids]})),
            input_digest="sha256:input",
            model=Double(),
            model_version="models:/m/1",
            store=store,
            output=output,
            key_columns=["id"],
            shard_rows=2,
        )
    # a table that is made by several at once is the narrowest of the races: it is run several times
    for table in [f"tables/{at}" for at in range(4)]:
        with ThreadPoolExecutor(4) as pool:
            work = [
                pool.submit(publish_delta, store, output, table) for output in [*outputs, *outputs]
            ]
        done = [each.result() for each in work]
        assert sorted(each.repeated for each in done) == [False, False, True, True]
        found = DeltaTable(done[0].table)
        ids = found.to_pyarrow_table().sort_by("id")["id"].to_pylist()
        assert ids == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
        commits = [each["operation"] for each in found.history()]
        assert sorted(commits) == ["CREATE TABLE", "WRITE", "WRITE"]
        assert publish_delta(store, outputs[0], table).repeated
