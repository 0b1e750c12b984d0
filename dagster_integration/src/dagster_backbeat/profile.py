"""`profile_asset`: what the data looked like, small enough to keep for ever."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from backbeat.steps import BuildProfile
from dagster_backbeat.fields import Data, Key, Text, Texts, When
from dagster_backbeat.step_asset import asset_of, single_step

__all__ = ["profile_asset"]


def profile_asset(
    *,
    asset: Key,
    data: Data,
    output_key: Text,
    columns: Texts | None = None,
    bins: int = 1000,
    model: Text | None = None,
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that is a table's profile, bound to a model version where one is named.

    Args:
        asset: Key of the asset made.
        data: See `BuildProfile`, as the fields below.
        output_key: Store key of the profile.
        columns: Which columns; all where None.
        bins: Frozen quantile bins of a numeric column.
        model: `models:/<name>/<version>` that was made from this data.
        deps: Assets that come before.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    fields = {
        "data": data,
        "output_key": output_key,
        "columns": columns,
        "bins": bins,
        "model": model,
    }
    return asset_of(
        single_step(BuildProfile, fields),
        asset=asset,
        kind="profile",
        description=description or "What the data looked like.",
        refers_to=fields,
        deps=deps,
        when=when,
        partitions_def=partitions_def,
        group_name=group_name,
        resource_key=resource_key,
    )
