"""Each outcome and each kind of error as Dagster's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest

from backbeat import Blocked, Done, Platform, Step, Waiting
from backbeat.errors import Unreachable
from backbeat.kinds import step_from_json
from backbeat.ports import Need
from backbeat.step import Outcome, StepContext
from dagster_backbeat import BackbeatResource, FromAsset, When, lineage_asset
from dagster_backbeat.step_asset import asset_of

Runs = Callable[..., dg.ExecuteInProcessResult]
Keys = Callable[[dg.ExecuteInProcessResult], set[str]]


class Toy(Step):
    """Ends as it is told, after failing as often as it is told."""

    kind: ClassVar[str] = "test.toy/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE})
    performed: ClassVar[list[str]] = []

    ends: str
    fails: int = 0

    def perform(self, ctx: StepContext) -> Outcome:
        """Note the run, then end."""
        self.performed.append(ctx.identity.run)
        if len(self.performed) <= self.fails:
            raise Unreachable("the server did not answer", hint="look at it", retry_after=0.001)
        return {
            "done": Done(value={"verdict": "stable", "rows": 3}, metrics={"effect": 0.25}),
            "waiting": Waiting(request_id="so-1"),
            "blocked": Blocked(reason="the gate said no", evidence={"failed": ["a"]}),
        }[self.ends]


@pytest.fixture(autouse=True)
def _forget() -> None:
    Toy.performed.clear()


@pytest.fixture
def toy(days: dg.DailyPartitionsDefinition) -> Callable[..., dg.AssetsDefinition]:
    """Builds an asset of the toy step."""

    def build(asset: str = "toy", when: When | None = None, **fields: Any) -> dg.AssetsDefinition:
        return asset_of(
            lambda run: run.perform(Toy, fields),
            asset=asset,
            kind="toy",
            description=None,
            refers_to=fields,
            deps=[],
            when=when,
            partitions_def=days,
            group_name=None,
            resource_key="backbeat",
        )

    return build


@pytest.fixture
def behind(days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """What comes after the toy."""

    @dg.asset(deps=["toy"], partitions_def=days)
    def behind() -> None:
        """Nothing."""

    return behind


def test_done_is_a_materialization_that_people_can_read(
    toy: Any, behind: Any, run_job: Runs, materialized: Keys
) -> None:
    """The verdict, numbers, rows and seconds are metadata, and so is the whole value."""
    result = run_job([toy(ends="done"), behind])
    assert materialized(result) == {"toy", "behind"}
    (event,) = result.asset_materializations_for_node("toy")
    found = {name: entry.value for name, entry in event.metadata.items()}
    assert found.pop("seconds") >= 0
    assert found == {
        "verdict": "stable",
        "rows": 3,
        "effect": 0.25,
        "dagster/row_count": 3,
        "backbeat/value": {"verdict": "stable", "rows": 3},
    }


def test_waiting_materializes_nothing_and_starts_nothing(
    toy: Any, behind: Any, run_job: Runs, materialized: Keys
) -> None:
    """The run succeeds, holds nothing, and what comes behind is skipped."""
    result = run_job([toy(ends="waiting"), behind])
    assert result.success
    assert materialized(result) == set()
    assert not result.get_step_success_events() or "behind" not in {
        event.step_key for event in result.get_step_success_events()
    }


def test_blocked_fails_without_a_retry(
    toy: Any, behind: Any, run_job: Runs, materialized: Keys
) -> None:
    """A gate's no is a failure with its reason; nothing behind it runs, nothing is tried again."""
    result = run_job([toy(ends="blocked"), behind])
    failure = result.failure_data_for_node("toy")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description == "the gate said no"
    assert failure.user_failure_data.metadata["failed"].value == "a"
    assert materialized(result) == set()
    assert len(Toy.performed) == 1


def test_a_retryable_error_is_retried(toy: Any, run_job: Runs) -> None:
    """The step is tried again, in the same workflow run, until it ends well."""
    result = run_job([toy(ends="done", fails=2)])
    assert result.success
    assert Toy.performed == [result.run_id] * 3


def test_a_retryable_error_that_stays_fails_the_run(toy: Any, run_job: Runs) -> None:
    """Three retries, then the error itself is the failure."""
    result = run_job([toy(ends="done", fails=99)])
    assert not result.success
    assert len(Toy.performed) == 4
    assert "the server did not answer" in str(result.failure_data_for_node("toy"))


def test_a_final_error_says_what_why_and_what_to_do(
    run_job: Runs, platform: Platform, days: dg.DailyPartitionsDefinition
) -> None:
    """The failure's metadata has the error's name, message and hint; it is not retried."""
    asset = lineage_asset(
        asset="record", inputs=["landing/{{ partition_key }}.parquet"], partitions_def=days
    )
    result = run_job([asset])
    failure = result.failure_data_for_node("record")
    assert failure is not None
    assert failure.user_failure_data is not None
    said = {name: entry.value for name, entry in failure.user_failure_data.metadata.items()}
    assert set(said) == {"what", "why", "hint"}
    assert "landing/2013-03-10.parquet" in said["why"]
    assert said["hint"]
    (record,) = platform.ledger.runs()
    assert (record.state, record.identity["partition"]) == ("failed", "2013-03-10")


def test_values_flow_between_assets(
    run_job: Runs, platform: Platform, days: dg.DailyPartitionsDefinition
) -> None:
    """A later asset reads an earlier one's value, and only for its own partition."""
    first = lineage_asset(
        asset="first", facts={"night": "{{ partition_key }}", "share": 0.1}, partitions_def=days
    )
    second = lineage_asset(asset="second", facts=FromAsset("first"), partitions_def=days)
    run_job([first, second], partition_key="2013-03-10")
    run_job([first, second], partition_key="2013-03-11")
    run_job([first, second], partition_key="2013-03-10", only=[dg.AssetKey("second")])
    newest = platform.ledger.runs()[0]
    assert step_from_json(newest.step).model_dump()["facts"] == {
        "night": "2013-03-10",
        "share": 0.1,
    }


def test_another_partitions_value_is_no_value(
    run_job: Runs, days: dg.DailyPartitionsDefinition
) -> None:
    """An asset that was materialized only for yesterday has nothing to say today."""
    first = lineage_asset(asset="first", facts={"share": 0.1}, partitions_def=days)
    second = lineage_asset(asset="second", facts=FromAsset("first"), partitions_def=days)
    run_job([first, second], partition_key="2013-03-10")
    result = run_job([first, second], partition_key="2013-03-11", only=[dg.AssetKey("second")])
    assert "has not been materialized for 2013-03-11" in str(result.failure_data_for_node("second"))


@pytest.mark.parametrize(("verdict", "runs"), [("drifted", True), ("stable", False)])
def test_a_condition_decides_whether_there_is_something_to_do(
    verdict: str,
    runs: bool,
    toy: Any,
    run_job: Runs,
    days: dg.DailyPartitionsDefinition,
    materialized: Keys,
) -> None:
    """Where the condition does not hold, the step is not performed and nothing is materialized."""
    drift = lineage_asset(asset="drift", facts={"verdict": verdict}, partitions_def=days)
    when = When("drift", "verdict", ("drifted", "no_reference"))
    result = run_job([drift, toy(ends="done", when=when)])
    assert result.success
    assert ("toy" in materialized(result)) is runs
    assert bool(Toy.performed) is runs


def test_a_re_execution_replays_or_performs(
    toy: Any, run_job: Runs, platform: Platform, materialized: Keys
) -> None:
    """The same workflow run replays what is recorded; a new one performs again."""
    run_job([toy(ends="done")], tags={"backbeat/run": "night-1"})
    replayed = run_job([toy(ends="done")], tags={"backbeat/run": "night-1"})
    assert materialized(replayed) == {"toy"}
    assert Toy.performed == ["night-1"]
    run_job([toy(ends="done")], tags={"backbeat/run": "night-2"})
    assert Toy.performed == ["night-1", "night-2"]


def test_rung_0_records_nothing(
    tmp_path: Path, instance: dg.DagsterInstance, toy: Any, day: str
) -> None:
    """Without a ledger the same asset runs, and values still flow through Dagster."""
    folder = tmp_path / "rung0"
    result = dg.materialize(
        [toy(ends="done")],
        instance=instance,
        partition_key=day,
        resources={
            "backbeat": BackbeatResource(folder=str(folder), ledger="none", tracking_uri="none")
        },
    )
    assert result.success
    assert not (folder / "ledger.db").exists()


def test_a_missing_need_is_named_with_its_rung(
    run_job: Runs, days: dg.DailyPartitionsDefinition
) -> None:
    """A step that needs more than there is fails before any work, and says which rung."""
    from dagster_backbeat import candidate_model

    candidate = candidate_model(asset="candidate", model="m", source="r" * 32, partitions_def=days)
    result = run_job([candidate])
    assert "needs a registry (rung 0)" in str(result.failure_data_for_node("candidate"))


def test_one_run_for_many_partitions_is_refused_with_advice(
    toy: Any, instance: dg.DagsterInstance, resource: BackbeatResource
) -> None:
    """A step is for one partition; a run over a range says how to backfill instead."""
    result = dg.materialize(
        [toy(ends="done")],
        instance=instance,
        resources={"backbeat": resource},
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": "2013-03-10",
            "dagster/asset_partition_range_end": "2013-03-12",
        },
    )
    assert "BackfillPolicy.multi_run()" in str(result.failure_data_for_node("toy"))
