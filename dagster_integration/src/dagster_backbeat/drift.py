"""`drift_check`: has the data moved away from what the model was trained on?"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from backbeat.step import Done, Outcome
from backbeat.steps import DriftCheck
from dagster_backbeat.fields import Data, Key, Text, Texts, When, asset_key
from dagster_backbeat.step_asset import asset_of, single_step

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
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that holds the drift verdict, with the effects as markdown, and its check `drift`.

    The check warns on `drifted`, and fails on `broken`: then nothing downstream starts.

    Args:
        asset: Key of the asset made.
        current: See `DriftCheck`, as the fields below.
        reference: A stored profile, or the profile bound to `models:/<name>@<alias>`.
        columns: Which columns; all of the profile's where None.
        q: False discovery rate of Benjamini-Hochberg over the columns.
        effect_floor: Smallest effect that counts, between 0 and 1.
        power: Chance with which a shift as large as the floor must be seen.
        report: Store prefix for the HTML report; empty writes none.
        deps: Assets that come before, such as the one that lands the data.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    fields = {
        "current": current,
        "reference": reference,
        "columns": columns,
        "q": q,
        "effect_floor": effect_floor,
        "power": power,
        "report": report,
    }
    key = asset_key(asset)
    spec = dg.AssetCheckSpec(
        "drift", asset=key, description="Warns on drift; stops on broken data."
    )
    return asset_of(
        single_step(DriftCheck, fields),
        asset=key,
        kind="drift",
        description=description or "Has the data moved away from what the model was trained on?",
        refers_to=fields,
        deps=deps,
        when=when,
        partitions_def=partitions_def,
        group_name=group_name,
        resource_key=resource_key,
        check=(spec, _verdict),
    )


def _verdict(outcome: Outcome) -> dg.AssetCheckResult:
    value = outcome.value if isinstance(outcome, Done) else {}
    verdict = value.get("verdict")
    broken = verdict == "broken"
    moved = ", ".join(value.get("columns", []))
    return dg.AssetCheckResult(
        check_name="drift",
        passed=verdict not in {"drifted", "broken"},
        severity=dg.AssetCheckSeverity.ERROR if broken else dg.AssetCheckSeverity.WARN,
        description=f"{verdict}: {moved}" if moved else str(verdict),
    )
