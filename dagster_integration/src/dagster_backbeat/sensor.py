"""`signoff_sensor`: a decision becomes a check evaluation that people see, and a run."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from backbeat.errors import BackbeatError
from backbeat.platform import Platform
from backbeat.ports import Ledger, RunRecord
from backbeat.runner import tick
from backbeat.signoff import State, read_request
from dagster_backbeat._compat import IMPLICIT_ASSET_JOB_NAME, TargetMaterialization
from dagster_backbeat.continuation import continuation, run_key, selection
from dagster_backbeat.identity import BACKFILL_TAG, REQUEST_TAG, RUN_TAG
from dagster_backbeat.signoff import SignoffGate, request_metadata
from dagster_backbeat.values import latest_record

__all__ = ["signoff_sensor"]

_LIMIT = 10_000
_MESSAGES = 100


@dataclass(frozen=True)
class _Decided:
    """A step that asked people, who have decided."""

    gate: SignoffGate
    record: RunRecord
    state: State
    at: datetime

    @property
    def request_id(self) -> str:
        return self.state.request.request_id


def signoff_sensor(
    *,
    gates: Sequence[SignoffGate],
    job: str | None = None,
    name: str = "signoff",
    minimum_interval_seconds: int = 30,
) -> dg.SensorDefinition:
    """A sensor that continues where people have decided.

    It looks for the steps that still wait in the ledger although their request is decided, so that
    a daemon that was down misses nothing. Each gives, once the run that asked has ended (see
    `continuation`), one run of the gate and what lies downstream of it, with the run key
    `request:attempt`, the partition and the tag `backbeat/run` of the run that asked; the decision
    itself is shown at once. A continuation that crashed or met an error that a retry can help is
    asked for again, three times in all; one that was refused or cancelled is not. The gate itself
    reads the ledger again: a forged tag opens nothing. Each look also sends what the outbox still
    holds, as `backbeat tick` does.

    A sensor of Dagster 1.13 launches either a job or assets: watch both with two sensors.

    Args:
        gates: The gates to watch.
        job: Name of the job that they are part of; None watches the runs that belong to no job:
            *Materialize* on assets, asset backfills, declarative automation. Those continue with
            the gate, and with what lies behind it as far as the run that asked had selected it.
        name: The sensor's name.
        minimum_interval_seconds: How often it looks.
    """
    by_task = {gate.task: gate for gate in gates}
    resource_keys = {gate.resource_key for gate in gates}
    workflow = job or IMPLICIT_ASSET_JOB_NAME
    behind = dg.AssetSelection.assets(*(gate.key for gate in gates)).downstream()

    @dg.sensor(  # type: ignore[untyped-decorator]
        name=name,
        job_name=job,
        asset_selection=None if job else behind,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys=resource_keys,
        description="Continues where people have decided.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        remembered = _remembered(context.cursor)
        decided: dict[str, _Decided] = {}
        for resource_key in resource_keys:
            platform = getattr(context.resources, resource_key).platform
            _drain(context, platform)
            for found in _decisions(platform.ledger, remembered, by_task):
                if found.record.identity["workflow"] == workflow:
                    decided[found.request_id] = found
        settled: dict[str, bool] = {}
        requests: list[dg.RunRequest] = []
        for request_id, found in decided.items():
            settled[request_id] = remembered.get(request_id, False)
            if settled[request_id]:
                continue
            then = continuation(context.instance, found.record, decided=found.at)
            settled[request_id] = then.settled
            context.log.info("%s: %s", request_id, then.reason)
            if then.attempt is not None:
                requests.append(_continuation(context, then.attempt, found))
        new = [found for request_id, found in decided.items() if request_id not in remembered]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason("no decision to continue on"),
            asset_events=[_evaluation(context.instance, found) for found in new],
            cursor=json.dumps(settled, sort_keys=True),
        )

    return watch


def _remembered(cursor: str | None) -> dict[str, bool]:
    """The requests whose decision was shown, and whether their continuation is settled."""
    found = json.loads(cursor or "{}")
    if isinstance(found, list):  # version 0.1 kept the run keys
        return {key.rpartition(":")[0]: False for key in found}
    return dict(found)


def _asked(ledger: Ledger, remembered: Mapping[str, bool]) -> Iterator[RunRecord]:
    """The steps that wait for a request, or whose continuation is not settled."""
    for state in ("waiting", "claimed"):
        yield from ledger.runs(state=state, limit=_LIMIT)
    for request_id, settled in remembered.items():
        if not settled:
            yield from ledger.runs(request_id=request_id, limit=1)


def _decisions(
    ledger: Ledger, remembered: Mapping[str, bool], by_task: Mapping[str, SignoffGate]
) -> Iterator[_Decided]:
    for record in _asked(ledger, remembered):
        gate = by_task.get(record.identity["task"])
        if gate is None or record.request_id is None:
            continue
        state = read_request(ledger, record.request_id)
        if state.decision is not None:
            yield _Decided(gate, record, state, state.decision.at)


def _drain(context: dg.SensorEvaluationContext, platform: Platform) -> None:
    try:
        tick(platform, limit=_MESSAGES)
    except BackbeatError as error:  # a sink that is down must not hold up a decision
        context.log.warning("the outbox was not drained: %s", error)


def _continuation(
    context: dg.SensorEvaluationContext, attempt: int, found: _Decided
) -> dg.RunRequest:
    identity = found.record.identity
    tags = {RUN_TAG: identity["run"], REQUEST_TAG: found.request_id}
    if identity.get("backfill"):
        tags[BACKFILL_TAG] = "true"
    return dg.RunRequest(
        run_key=run_key(found.request_id, attempt),
        partition_key=identity["partition"],
        tags=tags,
        asset_selection=selection(context, found.gate.key, identity),
    )


def _evaluation(instance: dg.DagsterInstance, found: _Decided) -> dg.AssetCheckEvaluation:
    gate, state = found.gate, found.state
    # pinned to what was there when people were asked, not to what may have replaced it since
    record = latest_record(
        instance,
        gate.on,
        found.record.identity["partition"],
        before=state.request.created.timestamp(),
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
