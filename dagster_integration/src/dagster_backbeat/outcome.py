"""From a rendered step to Dagster's own endings.

Done becomes a MaterializeResult. Waiting yields nothing: nothing is materialized and nothing
downstream starts. Blocked and a final error fail without a retry; an error that a retry can help
asks for one, after as long as the error says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg

from backbeat.errors import BackbeatError, InvalidStep
from backbeat.identity import RunIdentity
from backbeat.platform import Platform
from backbeat.step import Blocked, Done, Outcome, Step, Waiting
from dagster_backbeat.fields import FromAsset, When, asset_key, render
from dagster_backbeat.identity import run_identity
from dagster_backbeat.metadata import blocked_metadata, done_metadata
from dagster_backbeat.values import asset_values

__all__ = ["StepRun", "dagster_errors", "materialized"]

_RETRIES = 3
_RETRY_SECONDS = 10.0


@dataclass
class StepRun:
    """One asset's or check's run of its step or steps.

    Args:
        context: Dagster's execution context.
        task: Asset key or check.
        resource_key: The `BackbeatResource` to run on.
        partitions_def: The asset's partitions.
    """

    context: Any
    task: str
    resource_key: str
    partitions_def: dg.PartitionsDefinition[str] | None = None

    @property
    def platform(self) -> Platform:
        """The resource's platform."""
        platform: Platform = getattr(self.context.resources, self.resource_key).platform
        return platform

    @property
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
        from backbeat.runner import run_step

        return run_step(self.step(cls, fields), self.identity, self.platform)

    def holds(self, when: When) -> bool:
        """Whether the condition holds."""
        reference = FromAsset(when.asset, when.field)
        return render(reference, partition_key=None, values=self.values) in when.among

    def wanted(self, when: When | None) -> bool:
        """Whether there is something to do; says in the log where there is not."""
        if when is None or self.holds(when):
            return True
        source = asset_key(when.asset).to_user_string()
        self.context.log.info(
            "%s: nothing to do, as %s of %s is not %s",
            *(self.task, when.field, source, " or ".join(when.among)),
        )
        return False


@contextmanager
def dagster_errors() -> Iterator[None]:
    """Translate backbeat's errors: the retryable ones into retries, the final ones into failures.

    Raises:
        RetryRequested: A retry can help.
        Failure: It cannot; the metadata says what happened, why and what to do.
    """
    try:
        yield
    except BackbeatError as error:
        if error.retryable:
            raise dg.RetryRequested(
                max_retries=_RETRIES, seconds_to_wait=error.retry_after or _RETRY_SECONDS
            ) from error
        raise dg.Failure(
            description=str(error),
            metadata={"what": type(error).__name__, "why": error.message, "hint": error.hint},
            allow_retries=False,
        ) from error


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
