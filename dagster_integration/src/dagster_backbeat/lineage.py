"""`lineage_asset`: what an asset that is not ours has read and written, on the same record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from backbeat.steps import LogLineage
from dagster_backbeat.fields import FromAsset, Key, Records, When
from dagster_backbeat.step_asset import step_asset

__all__ = ["lineage_asset"]


def lineage_asset(
    *,
    asset: Key,
    inputs: Records = (),
    outputs: Records = (),
    facts: Mapping[str, Any] | FromAsset | None = None,
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that records work done elsewhere.

    Args:
        asset: Key of the asset made.
        inputs: See `LogLineage`, as the fields below.
        outputs: What was written.
        facts: Flat JSON worth keeping; becomes the asset's values.
        deps: Assets that come before, such as the one whose work is recorded.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    return step_asset(
        LogLineage,
        locals() | {"facts": {} if facts is None else facts},
        kind="lineage",
        description="Work done elsewhere, on the record.",
    )
