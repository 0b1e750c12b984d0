"""The gate: asked, parked, continued by the sensor exactly once, and shut against all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from backbeat import Platform
from backbeat.signoff import read_request, requests
from dagster_backbeat import (
    BackbeatResource,
    FromAsset,
    SignoffGate,
    lineage_asset,
    signoff_gate,
    signoff_sensor,
)

Runs = Callable[..., dg.ExecuteInProcessResult]
Keys = Callable[[dg.ExecuteInProcessResult], set[str]]
Check = dg.AssetCheckKey(dg.AssetKey("table"), "signoff")


class Gated:
    """An asset, the gate on it, and what lies behind; the table's rows can be changed."""

    def __init__(self, days: dg.DailyPartitionsDefinition) -> None:
        self.days = days

    def table(self, rows: int) -> dg.AssetsDefinition:
        """The asset in question."""
        return lineage_asset(asset="table", facts={"rows": rows}, partitions_def=self.days)

    @property
    def gate(self) -> SignoffGate:
        """The gate on it."""
        return signoff_gate(
            asset="approved",
            on="table",
            subject=FromAsset("table", "rows", text="Drop {} rows"),
            evidence=FromAsset("table"),
            approvers=["ada", "grace", "mary"],
            partitions_def=self.days,
        )

    @property
    def dropped(self) -> dg.AssetsDefinition:
        """What must not happen before people have approved."""

        @dg.asset(deps=["approved"], partitions_def=self.days)
        def dropped() -> None:
            """Gone."""

        return dropped

    def parts(self, rows: int = 7) -> tuple[list[Any], list[Any]]:
        """Assets and checks."""
        gate = self.gate
        return [self.table(rows), gate.asset, self.dropped], [gate.check]


@pytest.fixture
def gated(days: dg.DailyPartitionsDefinition) -> Gated:
    """The toy pipeline."""
    return Gated(days)


@pytest.fixture
def tick(
    gated: Gated, instance: dg.DagsterInstance, resource: BackbeatResource
) -> Callable[..., Any]:
    """Evaluates the sensor once, as the daemon does, and reports its events."""

    def evaluate(cursor: str | None = None) -> Any:
        assets, checks = gated.parts()
        sensor = signoff_sensor(gates=[gated.gate], job="nightly")
        defs = dg.Definitions(
            assets=assets,
            asset_checks=checks,
            jobs=[dg.define_asset_job("nightly")],
            sensors=[sensor],
            resources={"backbeat": resource},
        )
        context = dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            repository_def=defs.get_repository_def(),
            resources={"backbeat": resource},
        )
        with context:
            found = sensor.evaluate_tick(context)
        for event in found.asset_events:
            instance.report_runless_asset_event(event)
        return found

    return evaluate


def _continued(run_job: Runs, gated: Gated, request: Any, rows: int = 7) -> Any:
    assets, checks = gated.parts(rows)
    tags = {name: text for name, text in request.tags.items() if name.startswith("backbeat/")}
    return run_job(
        assets,
        checks,
        partition_key=request.partition_key,
        tags={**tags, "dagster/run_key": request.run_key},
        only=list(request.asset_selection),
    )


def _evaluation(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    return found


def test_asking_warns_and_starts_nothing_behind_the_gate(
    run_job: Runs, gated: Gated, platform: Platform, materialized: Keys
) -> None:
    """The asset is there, the check is pending with what a voter needs, the gate is shut."""
    result = run_job(*gated.parts())
    assert result.success
    assert materialized(result) == {"table"}
    found = _evaluation(result)
    (state,) = requests(platform.ledger, state="open")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["request"].value == state.request.request_id
    assert found.metadata["evidence"].value == {"rows": 7}
    assert state.request.subject == "Drop 7 rows"


def test_a_decision_continues_exactly_once(
    run_job: Runs, gated: Gated, tick: Any, decide: Any, materialized: Keys
) -> None:
    """One run request with partition, run and request; none before it, none once it has run."""
    first = run_job(*gated.parts())
    assert tick().run_requests == []
    request_id = decide()
    found = tick()
    (request,) = found.run_requests
    assert request.run_key == f"{request_id}:1"
    assert request.partition_key == "2013-03-10"
    assert request.tags["backbeat/run"] == first.run_id
    assert request.tags["backbeat/request"] == request_id
    assert {key.to_user_string() for key in request.asset_selection} == {"approved", "dropped"}
    # until its run is there it is asked for under the same key, which the daemon knows; people
    # see the decision once
    same = tick(found.cursor)
    assert ([again.run_key for again in same.run_requests], same.asset_events) == (
        [request.run_key],
        [],
    )
    result = _continued(run_job, gated, request)
    assert materialized(result) == {"approved", "dropped"}
    assert tick(same.cursor).run_requests == []
    assert tick().run_requests == []


def test_a_decision_is_seen_on_what_was_decided_about(
    run_job: Runs, gated: Gated, tick: Any, decide: Any, instance: dg.DagsterInstance
) -> None:
    """The check turns green, pinned to the very materialization that people were asked about."""
    run_job(*gated.parts())
    asked_about = instance.get_latest_materialization_event(dg.AssetKey("table"))
    decide()
    (event,) = tick().asset_events
    assert event.passed
    assert asked_about is not None
    assert event.target_materialization_data.run_id == asked_about.run_id
    assert event.metadata["by"].value == "ada, grace"


def test_a_rejection_stops_the_continuation(
    run_job: Runs, gated: Gated, tick: Any, decide: Any, platform: Platform, materialized: Keys
) -> None:
    """The check fails, the run fails without a retry, nothing behind the gate starts."""
    run_job(*gated.parts())
    decide("reject")
    found = tick()
    assert not found.asset_events[0].passed
    result = _continued(run_job, gated, found.run_requests[0])
    assert not result.success
    assert materialized(result) == set()
    assert "rejected by ada" in str(result.failure_data_for_node("approved").user_failure_data)
    assert [record.state for record in platform.ledger.runs(state="blocked")] == ["blocked"]
    assert tick().run_requests == []


def test_what_was_replaced_meanwhile_is_not_let_through(
    run_job: Runs, gated: Gated, tick: Any, decide: Any, materialized: Keys
) -> None:
    """An approval of 7 rows opens nothing once the table has 8."""
    run_job(*gated.parts())
    decide()
    (request,) = tick().run_requests
    run_job([gated.table(8)])
    result = _continued(run_job, gated, request, rows=8)
    assert materialized(result) == set()
    assert "has been replaced since it was asked" in str(result.failure_data_for_node("approved"))


def test_a_tag_is_no_approval(
    run_job: Runs, gated: Gated, platform: Platform, decide: Any, materialized: Keys
) -> None:
    """Runs that name no request, an unknown one, or another partition's are not let through."""
    assets, checks = gated.parts()
    run_job(assets, checks)
    approved = decide()
    for number, tags in enumerate(
        [
            {"backbeat/request": "so-0000000000000000"},
            {"backbeat/request": approved},
            {},
        ]
    ):
        run_job([gated.table(7)], partition_key="2013-03-11")
        result = run_job(
            assets,
            checks,
            partition_key="2013-03-11",
            tags={**tags, "backbeat/run": f"forged-{number}"},
            only=[dg.AssetKey("approved"), dg.AssetKey("dropped")],
        )
        assert materialized(result) == set()
    # trying has touched nobody's decision
    assert read_request(platform.ledger, approved).name == "approved"


def test_an_open_request_stays_shut(
    run_job: Runs, gated: Gated, platform: Platform, materialized: Keys
) -> None:
    """A run that says it continues an undecided request waits on, and starts nothing."""
    first = run_job(*gated.parts())
    (state,) = requests(platform.ledger, state="open")
    assets, checks = gated.parts()
    result = run_job(
        assets,
        checks,
        tags={"backbeat/run": first.run_id, "backbeat/request": state.request.request_id},
        only=[dg.AssetKey("approved"), dg.AssetKey("dropped")],
    )
    assert result.success
    assert materialized(result) == set()


def test_an_unpartitioned_asset_can_be_gated(
    instance: dg.DagsterInstance, resource: BackbeatResource, decide: Any
) -> None:
    """The gate works without partitions, and without a model."""
    table = lineage_asset(asset="table", facts={"rows": 7})
    gate = signoff_gate(asset="approved", on="table", subject="Drop it", quorum=1)
    defs = dg.Definitions(
        assets=[table, gate.asset],
        asset_checks=[gate.check],
        jobs=[dg.define_asset_job("nightly", executor_def=dg.in_process_executor)],
        resources={"backbeat": resource},
    )
    job = defs.resolve_job_def("nightly")
    first = job.execute_in_process(instance=instance)
    request_id = decide(people=["ada"])
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[gate.key],
        tags={"backbeat/run": first.run_id, "backbeat/request": request_id},
    )
    (event,) = result.asset_materializations_for_node("approved")
    assert event.metadata["backbeat/value"].value["by"] == ["ada"]
