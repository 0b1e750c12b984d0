"""`inference_asset`: every row scored exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from backbeat.inference.serving import Serving
from backbeat.steps import BatchInference
from dagster_backbeat.fields import Data, Key, Text, Texts, When
from dagster_backbeat.jobs import perform_parked
from dagster_backbeat.outcome import StepRun
from dagster_backbeat.pools import endpoint_pool
from dagster_backbeat.step_asset import step_asset

__all__ = ["inference_asset"]


def inference_asset(
    *,
    asset: Key,
    model: Text,
    data: Data,
    output_key: Text,
    key: Texts,
    features: Texts | None = None,
    column: Text = "score",
    shard_rows: int = 10_000,
    output_contract: Text | None = None,
    serving: Serving | Mapping[str, Any] | None = None,
    delta: Text | None = None,
    deferrable: bool = False,
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
    pool: str | None = None,
) -> dg.AssetsDefinition:
    """An asset that is a table of scores.

    Args:
        asset: Key of the asset made.
        model: A registered model, or the address of a served one; see `BatchInference`, as the
            fields below.
        data: What to score.
        output_key: Store prefix of the scores.
        key: Columns that identify a row.
        features: Columns that the model gets; all but the key where None.
        column: Name of the score's column.
        shard_rows: Rows of a shard: what one crash can cost.
        output_contract: Store key or path of the data contract that the scores must keep.
        serving: How a served model is asked (`backbeat.inference.Serving`).
        delta: Store key, path or URI of a Delta table that gets the scores too.
        deferrable: End the run while remote jobs are under way, and let `job_sensor` start another
            one that collects; other models are asked as ever.
        deps: Assets that come before.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
        pool: The pool that it waits in; that of the model's server, `backbeat/<host>_<port>`, where
            None; empty for none. A model that is loaded in process has none.
    """
    return step_asset(
        BatchInference,
        locals() | {"pool": endpoint_pool(model, pool)},
        kind="scores",
        description="Scores, in shards, with the manifest of the files that count.",
        perform=perform_parked if deferrable else StepRun.perform,
    )
