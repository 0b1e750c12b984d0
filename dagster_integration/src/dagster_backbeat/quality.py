"""`quality_checks`: does new data keep its promises? A blocking check on what lands it."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import dagster as dg

from backbeat.step import Blocked, Done
from backbeat.steps import QualityCheck
from dagster_backbeat.fields import Data, Key, Text, asset_key, check_literals, referenced_assets
from dagster_backbeat.metadata import blocked_metadata, done_metadata
from dagster_backbeat.outcome import StepRun, dagster_errors

__all__ = ["quality_checks"]


def quality_checks(
    *,
    on: Key,
    data: Data,
    suite: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | None = None,
    context_root: Text | None = None,
    suite_name: Text | None = None,
    on_failure: Literal["block", "report"] = "block",
    report: Text = "reports/quality",
    name: str = "quality",
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetChecksDefinition:
    """A check of an asset's data against a Great Expectations suite.

    Where it fails, nothing downstream of the asset starts in the same run, and the run fails.

    Args:
        on: The asset whose data is checked; it may be one that Dagster does not make.
        data: See `QualityCheck`, as the fields below.
        suite: The suite as data.
        context_root: An existing GX project folder instead.
        suite_name: The suite's name in that project.
        on_failure: `block` the run, or only `report`.
        report: Store prefix for the HTML report; empty writes none.
        name: The check's name.
        partitions_def: The asset's partitions.
        resource_key: The `BackbeatResource` to run on.
    """
    key = asset_key(on)
    fields: dict[str, Any] = {
        "data": data,
        "suite": suite,
        "context_root": context_root,
        "suite_name": suite_name,
        "on_failure": on_failure,
        "report": report,
    }
    check_literals(QualityCheck, fields)

    @dg.multi_asset_check(  # type: ignore[untyped-decorator]
        name=f"{key.to_python_identifier()}_{name}",
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=key,
                blocking=on_failure == "block",
                description="Checked against a Great Expectations suite.",
                additional_deps=[item for item in referenced_assets(fields) if item != key],
            )
        ],
        required_resource_keys={resource_key},
    )
    def compute(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        run = StepRun(context, f"{key.to_user_string()}:{name}", resource_key, partitions_def)
        since = time.perf_counter()
        with dagster_errors(run):
            outcome = run.perform(QualityCheck, fields)
        if isinstance(outcome, Blocked):
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=key,
                passed=False,
                description=outcome.reason,
                metadata=blocked_metadata(outcome, run.platform),
            )
        elif isinstance(outcome, Done):
            success = bool(outcome.value["success"])
            seconds = time.perf_counter() - since
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=key,
                passed=success,
                severity=dg.AssetCheckSeverity.ERROR if success else dg.AssetCheckSeverity.WARN,
                description=str(outcome.evidence["summary"]),
                metadata=done_metadata(outcome, run.platform, seconds=seconds),
            )

    return compute
