"""`drift_check`: has the data moved away from what the model was trained on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from backbeat.drift.action import RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat.step import Done, Outcome
from backbeat.steps import DriftCheck
from dagster_backbeat.fields import Data, Key, Text, Texts, When
from dagster_backbeat.step_asset import step_asset

__all__ = ["drift_check"]


def drift_check(
    *,
    asset: Key,
    current: Data,
    reference: Text,
    columns: Texts | None = None,
    q: float = 0.05,
    effect_floor: float = 0.1,
    power: float = 0.8,
    report: Text = "reports/drift",
    monitor: Text = "",
    partition: Text = "",
    rules: Rules | Mapping[str, Any] | None = None,
    retrain: RetrainPolicy | Mapping[str, Any] | None = None,
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that holds the drift verdict, with the effects as markdown, and its check `drift`.

    The check warns on `drifted` and `insufficient_data`, and fails on `broken`: then nothing
    downstream starts.

    Args:
        asset: Key of the asset made.
        current: See `DriftCheck`, as the fields below.
        reference: A stored profile, or the profile bound to `models:/<name>@<alias>`.
        columns: Which columns; all of the profile's where None.
        q: False discovery rate of Benjamini-Hochberg over the columns.
        effect_floor: Smallest effect that counts, between 0 and 1.
        power: Chance with which a shift as large as the floor must be seen.
        report: Store prefix for the HTML report; empty writes none.
        monitor: Store prefix of a monitor: the batch is judged by its past, and becomes a part of
            it. Empty judges without a history.
        partition: The batch's name, such as `{{ partition_key }}`; a monitor needs it.
        rules: Every threshold (`backbeat.drift.Rules`), instead of those three.
        retrain: When drift starts a retraining (`backbeat.drift.RetrainPolicy`); needs a monitor.
            The value `action` is then `retrain` or `hold`, for `When(drift, "action", ...)`.
        deps: Assets that come before, such as the one that lands the data.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    return step_asset(
        DriftCheck,
        locals(),
        kind="drift",
        description="Has the data moved away from what the model was trained on?",
        check=("drift", "Warns on drift; stops on broken data.", _verdict),
    )


def _verdict(outcome: Outcome) -> dg.AssetCheckResult:
    value = outcome.value if isinstance(outcome, Done) else {}
    verdict = value.get("verdict")
    broken = verdict == "broken"
    # with a monitor, those that nobody has muted
    moved = ", ".join(value.get("alarms", value.get("columns", [])))
    said = f"{verdict}: {moved}" if moved else str(verdict)
    if "action" in value:
        said = f"{said}; {value['action']}: {value['action_reason']}"
    return dg.AssetCheckResult(
        check_name="drift",
        # too little to tell is no pass; the first night, without a reference, is
        passed=verdict in {"stable", "no_reference"},
        severity=dg.AssetCheckSeverity.ERROR if broken else dg.AssetCheckSeverity.WARN,
        description=said,
    )
