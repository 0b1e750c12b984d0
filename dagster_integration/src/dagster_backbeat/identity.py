"""Who runs what: a Dagster run in the words that both orchestrators share."""

from __future__ import annotations

from typing import Any

import dagster as dg

from backbeat.identity import Actor, RunIdentity

__all__ = [
    "BACKFILL_TAG",
    "REQUEST_TAG",
    "RUN_TAG",
    "partition_of",
    "run_identity",
    "workflow_run",
]

BACKFILL_TAG = "backbeat/backfill"
RUN_TAG = "backbeat/run"
REQUEST_TAG = "backbeat/request"

_DAEMON = Actor(id="dagster:daemon", method="system")


def run_identity(
    context: Any, *, task: str, partitions_def: dg.PartitionsDefinition[str] | None = None
) -> RunIdentity:
    """The attempt that a Dagster context stands for.

    Args:
        context: An asset, check or op execution context.
        task: Asset key or check, such as `flights/drift` or `flights/landed:quality`; in an op that
            is mapped over a dynamic output, its mapping key is added.
        partitions_def: The asset's; a time partition gives the logical time.
    """
    run = context.run
    partition = partition_of(run)
    tags = run.tags
    op_context = _op_context(context)
    mapping_key = op_context.get_mapping_key()
    return RunIdentity(
        orchestrator="dagster",
        workflow=run.job_name,
        run=workflow_run(run, context.instance),
        task=f"{task}[{mapping_key}]" if mapping_key else task,
        partition=partition,
        attempt=1 + op_context.retry_number + int(tags.get("dagster/retry_number", 0)),
        logical_time=_logical_time(partition, partitions_def),
        actor=Actor(id=tags["user"], method="dagster") if tags.get("user") else _DAEMON,
        backfill=_replays_the_past(run, context.instance),
    )


def workflow_run(run: dg.DagsterRun, instance: dg.DagsterInstance) -> str:
    """What stays the same over everything that continues a run.

    The tag `backbeat/run` says it where it is set. Otherwise an automatic retry and a re-execution
    from failure belong to the run that they continue, so that a Done which Dagster did not come to
    know of is replayed, and people are not asked twice. Any other re-execution is a person's wish
    to perform again: a tag that it merely inherits from its parent does not count.
    """
    while run.parent_run_id:
        tag = run.tags.get(RUN_TAG)
        parent = instance.get_run_by_id(run.parent_run_id)
        if tag and parent and parent.tags.get(RUN_TAG) != tag:
            return str(tag)
        if not _continues(run, parent):
            return str(run.run_id)
        if parent is None:  # deleted from the instance: its root is all that is known of it
            return str(tag or run.root_run_id)
        run = parent
    return str(run.tags.get(RUN_TAG) or run.run_id)


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


def _continues(run: dg.DagsterRun, parent: dg.DagsterRun | None) -> bool:
    tags = run.tags
    if "dagster/retry_number" in tags or tags.get("dagster/is_resume_retry") == "true":
        return True
    from_failed_assets = "dagster/is_asset_resume_retry"
    if tags.get(from_failed_assets) != "true":
        return False
    # Dagster 1.13 hands this one tag on to a re-execution of everything, which selects the same
    return (
        parent is None
        or parent.tags.get(from_failed_assets) != "true"
        or parent.asset_selection != run.asset_selection
    )


def _replays_the_past(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    # once a backfill has ended, Dagster takes its tag off a re-execution
    current: dg.DagsterRun | None = run
    while current is not None:
        if "dagster/backfill" in current.tags or BACKFILL_TAG in current.tags:
            return True
        current = instance.get_run_by_id(current.parent_run_id) if current.parent_run_id else None
    return False


def _op_context(context: Any) -> Any:
    # asset and check contexts wrap the op's
    return getattr(context, "op_execution_context", context)


def _logical_time(
    partition: str | None, partitions_def: dg.PartitionsDefinition[str] | None
) -> Any:
    if partition is None or not isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        return None
    return partitions_def.time_window_for_partition_key(partition.partition("...")[0]).start
