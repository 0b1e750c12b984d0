"""A step that is parked on remote jobs: its run ends, and leaves an observation that says so.

The observation is the record that `job_sensor` reads: Dagster keeps it, a person sees it on the
asset's page, and no ledger is needed for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from backbeat.step import Outcome, Step, Waiting
from dagster_backbeat.fields import asset_key
from dagster_backbeat.outcome import StepRun

__all__ = ["JOBS_TAG", "PARKED_KEY", "WAITED_TAG", "perform_parked"]

JOBS_TAG = "backbeat/jobs"
"""Tag of a run that collects: the wait that it continues."""
WAITED_TAG = "backbeat/waited_for"
"""Tag of a run that collects: ids of the jobs that were waited for, most recent last."""
PARKED_KEY = "backbeat/parked"
"""Metadata of the observation: what the sensor needs, as JSON."""

# of thousands of shards only those that are not collected matter
_MOST_REMEMBERED = 200


def perform_parked(run: StepRun, cls: type[Step], fields: Mapping[str, Any]) -> Outcome:
    """Go through backbeat's door, and say what is waited for where jobs are under way.

    Args:
        run: The asset's run.
        cls: The step's class.
        fields: Its raw fields.
    """
    step = run.step(cls, fields)
    waited_for = _waited_for(run)
    outcome = run.door(step, waited_for=waited_for)
    if isinstance(outcome, Waiting) and outcome.jobs:
        ids = [job.id for job in outcome.jobs]
        told = {
            "request_id": outcome.request_id,
            "kind": step.kind,
            "jobs": [job.model_dump(mode="json") for job in outcome.jobs],
            "waited_for": [*waited_for, *(each for each in ids if each not in waited_for)],
            "identity": run.identity.model_dump(mode="json"),
        }
        run.context.log_event(
            dg.AssetObservation(
                asset_key=asset_key(run.task),
                partition=run.identity.partition,
                description=f"waits for {', '.join(ids)}",
                metadata={"jobs": ", ".join(ids), PARKED_KEY: dg.MetadataValue.json(told)},
            )
        )
    return outcome


def _waited_for(run: StepRun) -> list[str]:
    """The jobs that the run which is continued has waited for; none of a new wish to perform."""
    tags = run.context.run.tags
    if run.context.run.parent_run_id or run.op_context.retry_number:
        # a re-execution, or a retry after what became of a job: what is left is submitted again
        return []
    return [each for each in tags.get(WAITED_TAG, "").split(",") if each][-_MOST_REMEMBERED:]
