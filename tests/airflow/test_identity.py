"""Which run an attempt belongs to, and who is behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from backbeat import Actor
from backbeat_provider.identity import run_identity
from backbeat_provider.operators import LogLineageOperator

Context = Callable[..., dict[str, Any]]


@pytest.fixture
def task() -> LogLineageOperator:
    return LogLineageOperator(task_id="note", retries=2)


def test_a_retry_keeps_the_run(task: LogLineageOperator, context: Context) -> None:
    """The second try of a task is the same piece of work."""
    first = run_identity(context(task, try_number=1, max_tries=2))
    second = run_identity(context(task, try_number=2, max_tries=2))
    assert (first.run, first.attempt) == ("manual__1", 1)
    assert (second.run, second.attempt) == ("manual__1", 2)


def test_a_clear_changes_the_run(task: LogLineageOperator, context: Context) -> None:
    """A person's clear moves `max_tries` to the last try plus the retries: work to be done anew."""
    cleared = run_identity(context(task, try_number=2, max_tries=3))
    its_retry = run_identity(context(task, try_number=3, max_tries=3))
    cleared_again = run_identity(context(task, try_number=4, max_tries=5))
    assert cleared.run == its_retry.run == "manual__1~1"
    assert cleared_again.run == "manual__1~3"


def test_a_mapped_copy_and_a_partition_are_named(
    task: LogLineageOperator, context: Context
) -> None:
    """Copies of a mapped task and partitions of a run are told apart in the key of the work."""
    identity = run_identity(context(task, map_index=3, partition_key="2013-05-04"))
    assert identity.task_key == "note[3]@2013-05-04"


def test_an_asset_triggered_run_has_no_logical_time(
    task: LogLineageOperator, context: Context
) -> None:
    """The logical time is optional, as it is in Airflow."""
    assert run_identity(context(task, logical_date=None)).logical_time is None
    moment = datetime(2013, 5, 4, tzinfo=UTC)
    assert run_identity(context(task, logical_date=moment)).logical_time == moment


@pytest.mark.parametrize(
    ("run_type", "user", "actor"),
    [
        ("manual", "ada", Actor(id="ada", method="airflow")),
        ("manual", None, Actor(id="airflow:scheduler", method="system")),
        ("scheduled", "ada", Actor(id="airflow:scheduler", method="system")),
        ("asset_triggered", None, Actor(id="airflow:scheduler", method="system")),
    ],
)
def test_the_actor_is_who_triggered(
    task: LogLineageOperator, context: Context, run_type: str, user: str | None, actor: Actor
) -> None:
    """A manual run is its user's, any other the scheduler's."""
    assert run_identity(context(task, run_type=run_type, user=user)).actor == actor


def test_a_backfill_says_so(task: LogLineageOperator, context: Context) -> None:
    """Promotions refuse a backfill unless asked, so the identity has to know."""
    assert run_identity(context(task, run_type="backfill")).backfill
    assert not run_identity(context(task, run_type="manual")).backfill


def test_the_span_of_the_orchestrator_is_carried_on(
    task: LogLineageOperator, context: Context
) -> None:
    """Where Airflow traces, the step's span is a child of the task's."""
    from opentelemetry import trace

    parent = trace.SpanContext(
        trace_id=0xABC, span_id=0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    with trace.use_span(trace.NonRecordingSpan(parent)):
        inside = run_identity(context(task)).traceparent
    assert inside == f"00-{0xABC:032x}-{0xDEF:016x}-01"
    assert run_identity(context(task)).traceparent is None
