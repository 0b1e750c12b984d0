"""`job_sensor`: where remote jobs have ended, a run that collects their answers."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from backbeat.errors import BackbeatError
from backbeat.inference.jobs.watching import statuses
from backbeat.platform import Platform
from backbeat.ports import RunRecord
from backbeat.step import Job
from dagster_backbeat._compat import IMPLICIT_ASSET_JOB_NAME
from dagster_backbeat.continuation import continuation, run_key, selection
from dagster_backbeat.fields import Key, asset_key
from dagster_backbeat.identity import BACKFILL_TAG, RUN_TAG
from dagster_backbeat.jobs import JOBS_TAG, PARKED_KEY, WAITED_TAG
from dagster_backbeat.values import latest_record

__all__ = ["job_sensor"]

_PAGE = 200


def job_sensor(
    *,
    assets: Sequence[Key],
    job: str | None = None,
    name: str = "jobs",
    minimum_interval_seconds: int = 30,
    resource_key: str = "backbeat",
) -> dg.SensorDefinition:
    """A sensor that continues where remote jobs have ended.

    It reads the observations that deferrable assets leave, and asks the jobs' servers. Once all
    jobs of a wait have ended, however they have, and the run that submitted them has too, it asks
    for one run of the asset and what lies downstream of it, with the run key `wait:attempt`, the
    partition and the tag `backbeat/run` of the run that submitted. That run collects; where more is
    to be submitted it waits again. A continuation that crashed is asked for again, three times in
    all. A wait whose asset has been materialized since is over.

    A sensor of Dagster 1.13 launches either a job or assets: watch both with two sensors.

    Args:
        assets: Keys of the deferrable assets to watch.
        job: Name of the job that they are part of; None watches the runs that belong to no job.
        name: The sensor's name.
        minimum_interval_seconds: How often it looks.
        resource_key: The `BackbeatResource` that the assets run on.
    """
    watched = [asset_key(asset) for asset in assets]
    workflow = job or IMPLICIT_ASSET_JOB_NAME
    behind = dg.AssetSelection.assets(*watched).downstream()

    @dg.sensor(  # type: ignore[untyped-decorator]
        name=name,
        job_name=job,
        asset_selection=None if job else behind,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={resource_key},
        description="Collects what remote jobs have answered.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        platform: Platform = getattr(context.resources, resource_key).platform
        memory = json.loads(context.cursor or "{}")
        after: dict[str, int] = dict(memory.get("after", {}))
        waits: dict[str, dict[str, Any]] = dict(memory.get("waits", {}))
        for key in watched:
            for told in _parked(context.instance, key, after):
                if told["identity"]["workflow"] == workflow:
                    waits.setdefault(told["request_id"], told)
        requests: list[dg.RunRequest] = []
        for request_id, told in list(waits.items()):
            if not _ended(context, platform, told):
                continue
            told.setdefault("ended", datetime.now(UTC).isoformat())
            settled, request = _continued(context, told)
            if settled:
                del waits[request_id]
            if request is not None:
                requests.append(request)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(f"{len(waits)} waits go on"),
            cursor=json.dumps({"after": after, "waits": waits}, sort_keys=True),
        )

    return watch


def _parked(
    instance: dg.DagsterInstance, key: dg.AssetKey, after: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """The waits that an asset has told of since the last look."""
    name = key.to_user_string()
    while True:
        wanted = dg.AssetRecordsFilter(asset_key=key, after_storage_id=after.get(name, 0))
        records = instance.fetch_observations(wanted, limit=_PAGE, ascending=True).records
        for record in records:
            after[name] = record.storage_id
            observation = record.asset_observation
            entry = observation.metadata.get(PARKED_KEY) if observation else None
            if entry is not None and isinstance(entry.value, Mapping):
                yield {**entry.value, "asset": name, "seen": record.storage_id}
        if len(records) < _PAGE:
            return


def _ended(
    context: dg.SensorEvaluationContext, platform: Platform, told: Mapping[str, Any]
) -> bool:
    if "ended" in told:
        return True
    jobs = [Job.model_validate(each) for each in told["jobs"]]
    try:
        secrets = {
            job.credentials: platform.credentials(job.credentials)
            for job in jobs
            if job.credentials
        }
        found = asyncio.run(statuses(jobs, secrets))
    except BackbeatError as error:
        # one that no retry helps is met again by the run that collects, which tells people
        context.log.warning("%s: %s", told["request_id"], error)
        return not error.retryable
    states = ", ".join(f"{name} {status.state}" for name, status in found.items())
    context.log.info("%s: %s", told["request_id"], states)
    return all(status.state.ended for status in found.values())


def _continued(
    context: dg.SensorEvaluationContext, told: Mapping[str, Any]
) -> tuple[bool, dg.RunRequest | None]:
    """Whether the wait is settled, and the run to ask for now."""
    request_id, identity = told["request_id"], told["identity"]
    key = dg.AssetKey.from_user_string(told["asset"])
    then = continuation(
        context.instance,
        _record(told),
        decided=datetime.fromisoformat(told["ended"]),
        tag=JOBS_TAG,
    )
    context.log.info("%s: %s", request_id, then.reason)
    if then.attempt is None:
        return then.settled, None
    made = latest_record(context.instance, key, identity["partition"])
    if then.attempt == 1 and made is not None and made.storage_id > told["seen"]:
        context.log.info("%s: %s was materialized since", request_id, told["asset"])
        return True, None
    tags = {
        RUN_TAG: identity["run"],
        JOBS_TAG: request_id,
        WAITED_TAG: ",".join(told["waited_for"]),
    }
    if identity.get("backfill"):
        tags[BACKFILL_TAG] = "true"
    return False, dg.RunRequest(
        run_key=run_key(request_id, then.attempt),
        partition_key=identity["partition"],
        tags=tags,
        asset_selection=selection(context, key, identity),
    )


def _record(told: Mapping[str, Any]) -> RunRecord:
    """The wait in the words of a ledger's record, which rung 0 has none of."""
    return RunRecord(
        key="",
        kind=told["kind"],
        state="waiting",
        identity=told["identity"],
        step={},
        step_digest="",
        inputs={},
        token=0,
        owner=None,
        lease_until=None,
        request_id=told["request_id"],
        outcome=None,
        started_at=datetime.fromisoformat(told["ended"]),
        finished_at=None,
    )
