"""`comparison_check`: champion and challenger on the same rows, whose labels are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import dagster as dg

from backbeat.step import Done, Outcome
from backbeat.steps import CompareModels
from dagster_backbeat.fields import Data, Key, Text, When
from dagster_backbeat.step_asset import step_asset

__all__ = ["comparison_check"]


def comparison_check(
    *,
    asset: Key,
    challenger: Text,
    champion: Text,
    data: Data,
    labels: Data,
    key: str,
    label_column: str,
    groups: str | None = None,
    metric: Literal["log_loss", "brier", "roc_auc", "mae", "rmse"] = "log_loss",
    margin: float = 0.0,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that holds the comparison, and its check `better`, which warns where it is not.

    The comparison is an asset and not only a check because people sign off on exactly this piece
    of evidence, and a sign-off is bound to a materialization.

    Args:
        asset: Key of the asset made.
        challenger: See `CompareModels`, as the fields below.
        champion: What it must beat.
        data: Features of days that neither model was trained on.
        labels: Labels of those days.
        key: Column that joins the two.
        label_column: The labels' column.
        groups: Column whose equal values are drawn together by the bootstrap, such as the day.
        metric: How both are judged.
        margin: By how much the challenger must be better, in the metric's unit.
        confidence: Of the interval.
        samples: Bootstrap samples.
        seed: Of the bootstrap.
        deps: Assets that come before.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    return step_asset(
        CompareModels,
        locals(),
        kind="comparison",
        description="Champion and challenger on the same rows.",
        check=("better", "The challenger beats the champion.", _verdict),
    )


def _verdict(outcome: Outcome) -> dg.AssetCheckResult:
    verdict = outcome.value["verdict"] if isinstance(outcome, Done) else None
    return dg.AssetCheckResult(
        check_name="better",
        passed=verdict in {"better", "no_champion"},
        severity=dg.AssetCheckSeverity.WARN,
        description=str(verdict),
    )
