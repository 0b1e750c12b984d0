"""Who runs what: a Dagster run in the words that both orchestrators share."""

from __future__ import annotations

from typing import Any

import dagster as dg

from backbeat.identity import Actor, RunIdentity

__all__ = ["REQUEST_TAG", "RUN_TAG", "partition_of", "run_identity", "workflow_run"]

RUN_TAG = "backbeat/run"
REQUEST_TAG = "backbeat/request"

_DAEMON = Actor(id="dagster:daemon", method="system")


def run_identity(
    context: Any, *, task: str, partitions_def: dg.PartitionsDefinition[str] | None = None
) -> RunIdentity:
    """The attempt that a Dagster context stands for.

    Args:
        context: An asset, check or op execution context.
        task: Asset key or check, such as `flights/drift` or `flights/landed:quality`.
        partitions_def: The asset's; a time partition gives the logical time.
    """
    run = context.run
    partition = partition_of(run)
    tags = run.tags
    return RunIdentity(
        orchestrator="dagster",
        workflow=run.job_name,
        run=workflow_run(run, context.instance),
        task=task,
        partition=partition,
        attempt=1 + _op_context(context).retry_number + int(tags.get("dagster/retry_number", 0)),
        logical_time=_logical_time(partition, partitions_def),
        actor=Actor(id=tags["user"], method="dagster") if tags.get("user") else _DAEMON,
        backfill="dagster/backfill" in tags,
    )


def workflow_run(run: dg.DagsterRun, instance: dg.DagsterInstance) -> str:
    """What stays the same over everything that continues a run.

    The tag `backbeat/run` says it where it is set. Otherwise an automatic retry and a re-execution
    from failure belong to the run that they continue, so that a recorded Done is replayed; any
    other re-execution is a person's wish to perform again.
    """
    tagged: str | None = run.tags.get(RUN_TAG)
    if tagged:
        return tagged
    current: str = run.run_id
    while run.parent_run_id and _continues(run):
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:  # deleted from the instance: its root is all that is known of it
            return str(run.root_run_id)
        run, current = parent, parent.run_id
    return current


def partition_of(run: dg.DagsterRun) -> str | None:
    """The run's partition key; `first...last` where one run covers a range of them.

    Read from the tags, because `context.partition_key` raises in a single-run backfill.
    """
    tags = run.tags
    first = tags.get("dagster/asset_partition_range_start")
    last = tags.get("dagster/asset_partition_range_end")
    if first and last:
        return first if first == last else f"{first}...{last}"
    partition: str | None = tags.get("dagster/partition")
    return partition


def _continues(run: dg.DagsterRun) -> bool:
    tags = run.tags
    from_failure = ("dagster/is_resume_retry", "dagster/is_asset_resume_retry")
    return "dagster/retry_number" in tags or any(tags.get(name) == "true" for name in from_failure)


def _op_context(context: Any) -> Any:
    # asset and check contexts wrap the op's
    return getattr(context, "op_execution_context", context)


def _logical_time(
    partition: str | None, partitions_def: dg.PartitionsDefinition[str] | None
) -> Any:
    if partition is None or not isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        return None
    return partitions_def.time_window_for_partition_key(partition.partition("...")[0]).start
