"""What an asset's latest materialization says: how values reach later assets and later runs.

They are read from Dagster's own event log, not from the ledger, because that is where a user's own
assets leave theirs too, because it works on every rung, and because it is what the UI shows. A
continuation run reads the same materializations as the run that asked; where one has been replaced
meanwhile, the sign-off no longer fits it and the gate stays shut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from backbeat.errors import InvalidStep

__all__ = ["VALUE_KEY", "asset_values", "latest_record"]

VALUE_KEY = "backbeat/value"


def latest_record(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partition: str | None,
    *,
    before: float | None = None,
) -> dg.EventLogRecord | None:
    """An asset's latest materialization for a partition, None where there is none.

    Args:
        instance: Where the event log is.
        key: The asset.
        partition: Its partition; an asset that has none is looked up without.
        before: Only what was materialized until then, in seconds since the epoch.
    """
    chosen = [None] if partition is None else [[partition], None]
    for partitions in chosen:
        wanted = dg.AssetRecordsFilter(
            asset_key=key, asset_partitions=partitions, before_timestamp=before
        )
        for record in instance.fetch_materializations(wanted, limit=1).records:
            # another partition's value is never this one's
            if record.partition_key is None or record.partition_key == partition:
                return record
    return None


def asset_values(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None
) -> Mapping[str, Any]:
    """An asset's values: those of its step, or a user's own metadata where it is no step's.

    Raises:
        InvalidStep: It has not been materialized for that partition.
    """
    record = latest_record(instance, key, partition)
    materialization = record.asset_materialization if record else None
    if materialization is None:
        where = f" for {partition}" if partition else ""
        raise InvalidStep(
            f"{key.to_user_string()} has not been materialized{where}",
            hint="materialize it first, or leave out what refers to it",
        )
    metadata = materialization.metadata
    if VALUE_KEY in metadata:
        value: Mapping[str, Any] = metadata[VALUE_KEY].value
        return value
    return {name: entry.value for name, entry in metadata.items()}
