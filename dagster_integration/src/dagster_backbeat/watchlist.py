"""`drift_checks`: an asset with its check for each model of a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import dagster as dg

from backbeat.drift.watchlist import read_watchlist
from dagster_backbeat.drift import drift_check
from dagster_backbeat.fields import Key, asset_key

__all__ = ["drift_checks"]


def drift_checks(
    file: str | Path,
    *,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    partition: str = "{{ partition_key }}",
    only: Collection[str] = (),
    key_prefix: Key = (),
    deps: Sequence[Key] = (),
    group_name: str | None = "drift",
    resource_key: str = "backbeat",
) -> list[dg.AssetsDefinition]:
    """Assets `<key_prefix>/<model>/drift`, one for each model of a file.

    Args:
        file: See docs/many-models.md; read when the definitions load.
        partitions_def: The assets' partitions.
        partition: The batch's name, a template.
        only: Names of the models that are wanted; all where empty.
        key_prefix: What each asset's key begins with; nothing where empty.
        deps: Assets that come before each.
        group_name: The assets' group.
        resource_key: The `BackbeatResource` to run on.

    Raises:
        InvalidStep: The file says something wrong; says which model and field.
    """
    found = read_watchlist(file).fields(partition, only=only)
    prefix = asset_key(key_prefix).path if key_prefix else []
    return [
        drift_check(
            asset=[*prefix, name, "drift"],
            deps=deps,
            partitions_def=partitions_def,
            group_name=group_name,
            resource_key=resource_key,
            **fields,
        )
        for name, fields in found.items()
    ]
