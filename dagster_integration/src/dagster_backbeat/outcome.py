"""From a rendered step to Dagster's own endings.

Done becomes a MaterializeResult. Waiting yields nothing: nothing is materialized and nothing
downstream starts. Blocked and a final error fail without a retry; after any other error the core
decides whether there is one (`backbeat.retries`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from backbeat.alerts import Alert
from backbeat.errors import BackbeatError, InvalidStep
from backbeat.identity import RunIdentity
from backbeat.platform import Platform
from backbeat.retries import GiveUp, decide
from backbeat.step import Blocked, Done, Outcome, Step, Waiting
from dagster_backbeat.fields import FromAsset, When, asset_key, render
from dagster_backbeat.identity import run_identity
from dagster_backbeat.metadata import blocked_metadata, done_metadata
from dagster_backbeat.sharing import refuse_unshared_executor
from dagster_backbeat.values import asset_values

__all__ = ["StepRun", "dagster_errors", "materialized"]

_RETRIES = dg.RetryPolicy(max_retries=3, delay=10)
# the run's worker lives on while it waits: longer than this, a new run is cheaper
_LONGEST_SECONDS = 300.0


@dataclass
class StepRun:
    """One asset's or check's run of its step or steps.

    Args:
        context: Dagster's execution context.
        task: Asset key or check.
        resource_key: The `BackbeatResource` to run on.
        partitions_def: The asset's partitions.
        alert: What the latest step is to tell people; None for nothing.
        kind: The latest step's kind.
        monitor: The latest step's monitor; empty for none.
        batch: The latest step's batch.
    """

    context: Any
    task: str
    resource_key: str
    partitions_def: dg.PartitionsDefinition[str] | None = None
    alert: Alert | None = field(default=None, init=False)
    kind: str = field(default="", init=False)
    monitor: str = field(default="", init=False)
    batch: str = field(default="", init=False)

    @property
    def platform(self) -> Platform:
        """The resource's platform; raises UnmetNeed where this job's steps cannot share it."""
        self.require_shared()
        platform: Platform = self._resource.platform
        return platform

    def require_shared(self) -> None:
        """Refuse a platform that this job's steps cannot share; call it before any work.

        Raises:
            UnmetNeed: Names the executor and what to set instead.
        """
        executor = self.op_context.job_def.executor_def
        refuse_unshared_executor(self._resource.settings, executor)

    @property
    def _resource(self) -> Any:
        return getattr(self.context.resources, self.resource_key)

    @property
    def op_context(self) -> Any:
        """The context of the op behind an asset or a check."""
        return getattr(self.context, "op_execution_context", self.context)

    @property
    def retry_policy(self) -> dg.RetryPolicy | None:
        """What the op or its job says about retries, None where neither says anything."""
        policy: dg.RetryPolicy | None = self.op_context.get_step_execution_context().op_retry_policy
        return policy

    @cached_property
    def identity(self) -> RunIdentity:
        """The attempt."""
        return run_identity(self.context, task=self.task, partitions_def=self.partitions_def)

    def values(self, key: dg.AssetKey) -> Mapping[str, Any]:
        """Another asset's values for this partition."""
        return asset_values(self.context.instance, key, self.identity.partition)

    def step(self, cls: type[Step], fields: Mapping[str, Any]) -> Step:
        """The step that the raw fields become in this run."""
        from backbeat.kinds import step_from_fields

        partition = self.identity.partition
        if partition is not None and "..." in partition:
            raise InvalidStep(
                f"{self.task} runs for one partition at a time, and this run covers {partition}",
                hint="backfill with one run a partition: BackfillPolicy.multi_run()",
            )
        rendered = render(fields, partition_key=partition, values=self.values)
        return step_from_fields(cls, rendered)

    def perform(self, cls: type[Step], fields: Mapping[str, Any]) -> Outcome:
        """Render the fields and go through backbeat's door."""
        return self.door(self.step(cls, fields))

    def door(self, step: Step, *, waited_for: Collection[str] | None = None) -> Outcome:
        """Go through backbeat's door with a rendered step.

        Args:
            step: What to do.
            waited_for: See `run_step`.
        """
        from backbeat.alerts import alert_of
        from backbeat.runner import run_step

        outcome = run_step(step, self.identity, self.platform, waited_for=waited_for)
        self.kind = step.kind
        self.monitor = str(getattr(step, "monitor", ""))
        self.batch = str(getattr(step, "partition", "") or self.identity.partition or "")
        value = outcome.value if isinstance(outcome, Done) else {}
        report = (outcome.evidence if isinstance(outcome, Blocked) else value).get("report")
        self.alert = alert_of(
            step.kind,
            outcome,
            identity=self.identity,
            monitor=self.monitor,
            partition=self.batch,
            report=self.platform.store.address(report) if report else "",
        )
        return outcome

    def holds(self, when: When) -> bool:
        """Whether the condition holds."""
        reference = FromAsset(when.asset, when.field)
        return render(reference, partition_key=None, values=self.values) in when.among

    def wanted(self, when: When | None) -> bool:
        """Whether there is something to do; says in the log where there is not.

        Raises:
            UnmetNeed: This job's steps cannot share the platform; said before any work.
        """
        self.require_shared()
        if when is None or self.holds(when):
            return True
        source = asset_key(when.asset).to_user_string()
        self.context.log.info(
            "%s: nothing to do, as %s of %s is not %s",
            *(self.task, when.field, source, " or ".join(when.among)),
        )
        return False


@contextmanager
def dagster_errors(run: StepRun) -> Iterator[None]:
    """Translate errors: the retryable ones into retries, the final ones into failures.

    The retry policy of the op or the job says how often, and its delay is the first window of the
    jitter; without one it is three times, from ten seconds on. An exception of another library is
    left to that policy, and pays from the job's budget too.

    Args:
        run: The asset's or check's run.

    Raises:
        RetryRequested: A retry can help.
        Failure: It cannot; the metadata says what happened, why and what to do.
    """
    try:
        yield
    except (dg.DagsterError, dg.Failure, dg.RetryRequested):
        raise  # in Dagster's own words already
    except Exception as error:
        policy = run.retry_policy
        if policy is None and not isinstance(error, BackbeatError):
            raise  # Dagster does not try again, so there is nothing to pay for
        policy = policy or _RETRIES
        verdict = decide(
            error,
            attempt=1 + run.op_context.retry_number,
            retries=policy.max_retries,
            workflow=f"dagster:{run.op_context.job_name}",
            ledger=lambda: run.platform.ledger,
            base=float(policy.delay or 0.0),
            cap=_LONGEST_SECONDS,
            longest=_LONGEST_SECONDS,
        )
        if isinstance(verdict, GiveUp):
            if isinstance(verdict.error, BackbeatError):
                raise _failure(verdict.error) from error
            raise
        if verdict.after_seconds is None:
            raise
        raise dg.RetryRequested(
            max_retries=policy.max_retries, seconds_to_wait=verdict.after_seconds
        ) from error


def _failure(error: BackbeatError) -> dg.Failure:
    return dg.Failure(
        description=str(error),
        metadata={"what": type(error).__name__, "why": error.message, "hint": error.hint},
        allow_retries=False,
    )


def materialized(
    run: StepRun, outcome: Outcome, *, key: dg.AssetKey, since: float
) -> Iterator[dg.MaterializeResult]:
    """Yield an asset's result for a Done; nothing for Waiting.

    Args:
        run: The asset's run.
        outcome: What its step ended with.
        key: The asset.
        since: `time.perf_counter()` when it began.

    Raises:
        Failure: The step was Blocked.
    """
    if isinstance(outcome, Waiting):
        until = f" until {outcome.until:%Y-%m-%d %H:%M} UTC" if outcome.until else ""
        run.context.log.info(
            "%s waits for %s%s; nothing is held meanwhile", run.task, outcome.request_id, until
        )
    elif isinstance(outcome, Blocked):
        raise dg.Failure(
            description=outcome.reason,
            metadata=blocked_metadata(outcome, run.platform),
            allow_retries=False,
        )
    elif isinstance(outcome, Done):
        seconds = time.perf_counter() - since
        yield dg.MaterializeResult(
            asset_key=key, metadata=done_metadata(outcome, run.platform, seconds=seconds)
        )
