"""`signoff_sensor`: a decision becomes a check evaluation that people see, and a run."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from backbeat.errors import BackbeatError
from backbeat.platform import Platform
from backbeat.ports import RunRecord
from backbeat.runner import tick
from backbeat.signoff import State, read_request
from dagster_backbeat._compat import TargetMaterialization
from dagster_backbeat.identity import REQUEST_TAG, RUN_TAG
from dagster_backbeat.signoff import SignoffGate, request_metadata
from dagster_backbeat.values import latest_record

__all__ = ["signoff_sensor"]

_LIMIT = 10_000
_MESSAGES = 100


def signoff_sensor(
    *,
    gates: Sequence[SignoffGate],
    job: str,
    name: str = "signoff",
    minimum_interval_seconds: int = 30,
) -> dg.SensorDefinition:
    """A sensor that continues a job where people have decided.

    It looks for the job's steps that still wait in the ledger although their request is decided,
    so that a daemon that was down misses nothing. Each gives one run of the gate and what lies
    downstream of it, with the run key `request:attempt`, the partition and the tag `backbeat/run`
    of the run that asked. The gate itself reads the ledger again: a forged tag opens nothing. Each
    look also sends what the outbox still holds, as `backbeat tick` does.

    Args:
        gates: The gates to watch.
        job: Name of the job that they are part of.
        name: The sensor's name.
        minimum_interval_seconds: How often it looks.
    """
    by_task = {gate.task: gate for gate in gates}
    resource_keys = {gate.resource_key for gate in gates}

    @dg.sensor(  # type: ignore[untyped-decorator]
        name=name,
        job_name=job,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys=resource_keys,
        description="Continues where people have decided.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        handled = set(json.loads(context.cursor or "[]"))
        decided: dict[str, tuple[SignoffGate, RunRecord, State]] = {}
        for resource_key in resource_keys:
            platform = getattr(context.resources, resource_key).platform
            ledger = platform.ledger
            _drain(context, platform)
            for record in ledger.runs(state="waiting", limit=_LIMIT):
                gate = by_task.get(record.identity["task"])
                if gate is None or record.request_id is None or record.identity["workflow"] != job:
                    continue
                state = read_request(ledger, record.request_id)
                if state.decision is not None:
                    decided[f"{record.request_id}:{record.token}"] = (gate, record, state)
        fresh = {run_key: item for run_key, item in decided.items() if run_key not in handled}
        if not fresh:
            return dg.SkipReason("no new decision")
        return dg.SensorResult(
            run_requests=[
                _continuation(context, run_key, gate, record.identity, state)
                for run_key, (gate, record, state) in fresh.items()
            ],
            asset_events=[
                _evaluation(context.instance, gate, record.identity, state)
                for gate, record, state in fresh.values()
            ],
            # what no longer waits need not be remembered
            cursor=json.dumps(sorted(decided)),
        )

    return watch


def _drain(context: dg.SensorEvaluationContext, platform: Platform) -> None:
    try:
        tick(platform, limit=_MESSAGES)
    except BackbeatError as error:  # a sink that is down must not hold up a decision
        context.log.warning("the outbox was not drained: %s", error)


def _continuation(
    context: dg.SensorEvaluationContext,
    run_key: str,
    gate: SignoffGate,
    identity: Mapping[str, Any],
    state: State,
) -> dg.RunRequest:
    graph = context.repository_def.asset_graph
    job = context.repository_def.get_job(identity["workflow"])
    behind = dg.AssetSelection.assets(gate.key).downstream().resolve(graph)
    return dg.RunRequest(
        run_key=run_key,
        partition_key=identity["partition"],
        tags={RUN_TAG: identity["run"], REQUEST_TAG: state.request.request_id},
        asset_selection=sorted(behind & set(job.asset_layer.executable_asset_keys)),
    )


def _evaluation(
    instance: dg.DagsterInstance, gate: SignoffGate, identity: Mapping[str, Any], state: State
) -> dg.AssetCheckEvaluation:
    # pinned to what was there when people were asked, not to what may have replaced it since
    record = latest_record(
        instance, gate.on, identity["partition"], before=state.request.created.timestamp()
    )
    approved = state.name == "approved"
    return dg.AssetCheckEvaluation(
        asset_key=gate.on,
        check_name=gate.check_name,
        passed=approved,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{state.name}: {state.request.subject}",
        metadata=request_metadata(state),
        blocking=True,
        # no `partition`: a second runless evaluation of a partition violates a unique key in
        # Dagster's storage, and would stop the sensor; the target says which one it is
        target_materialization_data=TargetMaterialization(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        if record
        else None,
    )
