"""A Dagster run in the words that both orchestrators share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from backbeat import Actor, RunIdentity
from dagster_backbeat import BackbeatResource
from dagster_backbeat.identity import run_identity

Runs = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def seen() -> list[RunIdentity]:
    """Identities that the probe has had, one a try."""
    return []


@pytest.fixture
def probe(seen: list[RunIdentity], days: dg.DailyPartitionsDefinition) -> Any:
    """An asset that fails on its first try, and notes who it is on each."""

    @dg.asset(
        partitions_def=days,
        retry_policy=dg.RetryPolicy(max_retries=1),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def probe(context) -> Iterator[dg.MaterializeResult]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        seen.append(run_identity(context, task="flights/probe", partitions_def=days))
        if len(seen) == 1:
            raise ValueError("the first try fails")
        yield dg.MaterializeResult()

    return probe


def test_names_and_times(seen: list[RunIdentity], probe: Any, run_job: Runs, day: str) -> None:
    """Job, run, partition, logical time; a step's retry keeps the run and counts the attempt."""
    result = run_job([probe])
    first, second = seen
    assert (first.orchestrator, first.workflow, first.task) == (
        "dagster",
        "nightly",
        "flights/probe",
    )
    assert first.run == second.run == result.run_id
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.partition == day
    assert str(first.logical_time) == "2013-03-10 00:00:00+00:00"
    assert first.actor == Actor(id="dagster:daemon", method="system")
    assert not first.backfill


def test_tags_say_who_and_which_run(seen: list[RunIdentity], probe: Any, run_job: Runs) -> None:
    """`backbeat/run` wins over the run's own id; `user` is the actor; a backfill is known."""
    run_job([probe], tags={"backbeat/run": "first", "user": "kim", "dagster/backfill": "b1"})
    assert seen[0].run == "first"
    assert seen[0].actor == Actor(id="kim", method="dagster")
    assert seen[0].backfill


def test_a_range_of_partitions_is_named_as_one(
    seen: list[RunIdentity], probe: Any, instance: dg.DagsterInstance, resource: BackbeatResource
) -> None:
    """A single-run backfill has no partition key, and still an identity."""
    dg.materialize(
        [probe],
        instance=instance,
        resources={"backbeat": resource},
        tags={
            "dagster/asset_partition_range_start": "2013-03-10",
            "dagster/asset_partition_range_end": "2013-03-12",
        },
    )
    assert seen[0].partition == "2013-03-10...2013-03-12"


@pytest.mark.parametrize(
    ("tags", "continues"),
    [
        ({"dagster/retry_number": "1"}, True),
        ({"dagster/is_resume_retry": "true"}, True),
        ({}, False),
    ],
    ids=["automatic retry", "from failure", "a person, from the start"],
)
def test_what_a_re_execution_is(
    tags: dict[str, str],
    continues: bool,
    seen: list[RunIdentity],
    probe: Any,
    instance: dg.DagsterInstance,
) -> None:
    """What continues a run keeps its name, so that a Done is replayed; a person's is a new run."""
    job = dg.Definitions(
        assets=[probe], jobs=[dg.define_asset_job("nightly", executor_def=dg.in_process_executor)]
    ).resolve_job_def("nightly")
    first = job.execute_in_process(instance=instance, partition_key="2013-03-10")
    parent = instance.get_run_by_id(first.run_id)
    assert parent is not None
    again = instance.create_run_for_job(
        job,
        parent_run_id=parent.run_id,
        root_run_id=parent.run_id,
        tags={**parent.tags, **tags},
    )
    from dagster_backbeat.identity import workflow_run

    assert workflow_run(again, instance) == (parent.run_id if continues else again.run_id)
