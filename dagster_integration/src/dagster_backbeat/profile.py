"""`profile_asset`: what the data looked like, small enough to keep for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from backbeat.steps import BuildProfile
from dagster_backbeat.fields import Data, Key, Text, Texts, When
from dagster_backbeat.step_asset import step_asset

__all__ = ["profile_asset"]


def profile_asset(
    *,
    asset: Key,
    data: Data,
    output_key: Text,
    columns: Texts | None = None,
    bins: int = 1000,
    model: Text | None = None,
    kinds: Mapping[str, str] | None = None,
    given: Mapping[str, Sequence[str]] | None = None,
    by: Sequence[str] = (),
    edges_from: Text | None = None,
    partition: Text = "",
    monitor: Text = "",
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
        kinds: How a column is read where its type does not say, by its name.
        given: Columns that are also watched given those that explain them.
        by: Columns whose values make segments, in the same pass.
        edges_from: Count on the edges of this profile: a store key, or `models:/<name>@<alias>`.
        partition: The batch's name, such as `{{ partition_key }}`.
        monitor: Store prefix of a monitor whose history gets the batch.
        deps: Assets that come before.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    return step_asset(
        BuildProfile,
        locals(),
        kind="profile",
        description="What the data looked like.",
    )
