"""`quality_checks`: does new data keep its promises? Blocking checks on what lands it."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any, Literal

import dagster as dg

from backbeat.kinds import step_from_fields
from backbeat.platform import Platform
from backbeat.step import Blocked, Done, Outcome
from backbeat.steps import QualityCheck
from dagster_backbeat.alerts import with_alert
from dagster_backbeat.fields import Data, Key, Text, asset_key, check_literals, referenced_assets
from dagster_backbeat.metadata import blocked_metadata, done_metadata
from dagster_backbeat.outcome import StepRun, dagster_errors

__all__ = ["quality_checks"]

_PREFIX = re.compile(r"^expect_(column_(values_to_|pair_values_|)|table_|)")
_PROBE = "probe"
_FACTS = (
    "type",
    "severity",
    "unexpected_count",
    "unexpected_percent",
    "observed",
    "detail",
)


def quality_checks(
    *,
    on: Key,
    data: Data,
    suite: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | None = None,
    context_root: Text | None = None,
    suite_name: Text | None = None,
    on_failure: Literal["block", "report"] = "block",
    report: Text = "reports/quality",
    monitor: Text = "",
    partition: Text = "",
    name: str = "quality",
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetChecksDefinition:
    """Checks of an asset's data against a Great Expectations suite, one for each expectation.

    The suite is run once, and a person who selects some of the checks sees only theirs. A check's
    severity is its expectation's: `critical` is an ERROR, on which nothing downstream of the asset
    starts in the same run and the run fails; `warning` and `info` are a WARN, and the run goes on.
    The checks are named by the expectation and its column, such as
    `quality__not_be_null__dep_delay`, the second of a name `…__n2`. A suite of a GX project, or of
    another asset, is not known while the definitions load: it has the one check `quality`.

    Args:
        on: The asset whose data is checked; it may be one that Dagster does not make.
        data: See `QualityCheck`, as the fields below.
        suite: The suite as data: a list of expectations, or a suite's JSON.
        context_root: An existing GX project folder instead.
        suite_name: The suite's name in that project.
        on_failure: `block` the run on critical failures, or only `report` them.
        report: Store prefix for the HTML report; empty writes none.
        monitor: Store prefix of a monitor: the result is kept beside the batch's profile.
        partition: The batch's name, such as `{{ partition_key }}`; a monitor needs it.
        name: The checks' name, or its beginning.
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
        "monitor": monitor,
        "partition": partition,
    }
    check_literals(QualityCheck, fields)
    expected = _expectations(suite, name)
    others = [item for item in referenced_assets(fields) if item != key]

    @dg.multi_asset_check(  # type: ignore[untyped-decorator]
        name=f"{key.to_python_identifier()}_{name}",
        specs=[
            dg.AssetCheckSpec(
                check,
                asset=key,
                blocking=on_failure == "block",
                description=said,
                additional_deps=others,
            )
            for check, said in (expected or {name: "A Great Expectations suite."}).items()
        ],
        required_resource_keys={resource_key},
        can_subset=bool(expected),
    )
    def compute(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        run = StepRun(context, f"{key.to_user_string()}:{name}", resource_key, partitions_def)
        since = time.perf_counter()
        with dagster_errors(run):
            outcome = run.perform(QualityCheck, fields)
        seconds = time.perf_counter() - since
        found = (
            _each(outcome, list(expected), run.platform)
            if expected
            else {name: _whole(outcome, run, seconds)}
        )
        wanted = {check.name for check in context.selected_asset_check_keys}
        told = False
        for check, (passed, severity, said, metadata) in found.items():
            if check not in wanted:
                continue
            result = dg.AssetCheckResult(
                check_name=check,
                asset_key=key,
                passed=passed,
                severity=severity,
                description=said,
                metadata=metadata,
            )
            # people are told of the suite once, and not for each of its expectations
            yield result if told else with_alert(result, run)
            told = True

    return compute


_Result = tuple[bool, dg.AssetCheckSeverity, str, dict[str, Any]]


def _expectations(suite: Any, name: str) -> dict[str, str]:
    """The checks of a suite that is given as data: their names, with the expectations in words."""
    if not isinstance(suite, (Mapping, list, tuple)) or referenced_assets({"suite": suite}):
        return {}
    step = step_from_fields(QualityCheck, {"data": _PROBE, "suite": suite})
    assert isinstance(step, QualityCheck)  # noqa: S101 - its own class was asked for
    assert step.suite is not None  # noqa: S101 - it was given
    found: dict[str, str] = {}
    for item in step.suite.expectations:
        words = [name, _PREFIX.sub("", item.type), item.column or ""]
        base = re.sub(r"[^A-Za-z0-9_]", "_", "__".join(word for word in words if word))
        numbered = (f"{base}__n{number}" for number in count(2))
        found[next(one for one in chain([base], numbered) if one not in found)] = item.sentence
    return found


def _each(outcome: Outcome, names: Sequence[str], platform: Platform) -> dict[str, _Result]:
    """Each expectation's result, in the suite's order."""
    evidence, value = _told(outcome)
    report = value.get("report")
    link = {"report": dg.MetadataValue.path(platform.store.address(report))} if report else {}
    return {
        check: (
            item["success"],
            _severity([item]),
            item["detail"],
            link | {fact: _shown(item[fact]) for fact in _FACTS if item[fact] is not None},
        )
        for check, item in zip(names, evidence["results"], strict=True)
    }


def _whole(outcome: Outcome, run: StepRun, seconds: float) -> _Result:
    evidence, value = _told(outcome)
    return (
        bool(value["success"]),
        _severity(evidence["failures"]),
        str(evidence["summary"]),
        _metadata(outcome, run, seconds),
    )


def _told(outcome: Outcome) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Evidence and value; a Blocked has its value in its evidence."""
    assert isinstance(outcome, (Done, Blocked))  # noqa: S101 - a check waits for nobody
    return outcome.evidence, outcome.value if isinstance(outcome, Done) else outcome.evidence


def _severity(results: Sequence[Mapping[str, Any]]) -> dg.AssetCheckSeverity:
    """Dagster's word for the gravest severity: a blocking check stops on ERROR alone."""
    critical = any(item["severity"] == "critical" for item in results)
    return dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN


def _shown(value: Any) -> Any:
    return dg.MetadataValue.json(value) if isinstance(value, (list, Mapping)) else value


def _metadata(outcome: Outcome, run: StepRun, seconds: float) -> dict[str, Any]:
    if isinstance(outcome, Blocked):
        return blocked_metadata(outcome, run.platform)
    assert isinstance(outcome, Done)  # noqa: S101 - a check waits for nobody
    return done_metadata(outcome, run.platform, seconds=seconds)
