"""`serving_champion`: which model serves now, decided on every run, retrained or not.

Scoring must wait for a promotion that is under way and must not wait where there is none. Dagster
skips an asset of which any dependency was skipped, but an input that several assets feed is skipped
only if all of them were: so this asset is a graph with one such input, fed by what always runs and
by what runs only sometimes.
"""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_backbeat.fields import FromAsset, Key, When, asset_key, render
from dagster_backbeat.outcome import StepRun, dagster_errors
from dagster_backbeat.values import VALUE_KEY, latest_record

__all__ = ["serving_champion"]


def serving_champion(
    *,
    asset: Key,
    model: str,
    alias: str = "champion",
    promoted: Key,
    candidate: Key,
    promotes: tuple[When, ...],
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that is materialized once it is settled which version serves.

    Where every condition in `promotes` holds, the candidate is on its way to be promoted, and this
    asset yields nothing until it is. Otherwise the present champion serves.

    Args:
        asset: Key of the asset made.
        model: Registered model's name.
        alias: The alias that serves.
        promoted: The asset of the promotion.
        candidate: The asset of the candidate, whose `version` is to be promoted.
        promotes: The conditions on which a promotion is due, in the order of the assets they read.
        description: For people.
        partitions_def: The assets' partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    key, promoted_key = asset_key(asset), asset_key(promoted)
    always = asset_key(promotes[0].asset)

    @dg.op(  # type: ignore[untyped-decorator]
        name=f"{key.to_python_identifier()}_decision",
        ins={"settled": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing, is_required=False),
        required_resource_keys={resource_key},
    )
    def decide(context: dg.OpExecutionContext) -> Iterator[dg.Output[None]]:
        run = StepRun(context, key.to_user_string(), resource_key, partitions_def)
        with dagster_errors(run):
            due = all(run.holds(condition) for condition in promotes)
            version = run.platform.registry.alias(model, alias)
            if due and not _was_promoted(run, asset_key(candidate), promoted_key):
                context.log.info("the candidate waits for its promotion; nothing is scored yet")
                return
        value = {"model": model, "version": version, "alias": alias, "promoted": due}
        yield dg.Output(None, metadata={**value, VALUE_KEY: dg.MetadataValue.json(value)})

    @dg.graph_asset(  # type: ignore[untyped-decorator]
        name=key.path[-1],
        key_prefix=key.path[:-1] or None,
        ins={
            "always": dg.AssetIn(key=always, dagster_type=dg.Nothing),
            "sometimes": dg.AssetIn(key=promoted_key, dagster_type=dg.Nothing),
        },
        description=description or "Which version serves, once that is settled.",
        partitions_def=partitions_def,
        group_name=group_name,
        kinds={"backbeat", "mlflow"},
    )
    def champion(always: Any, sometimes: Any) -> Any:
        return decide([always, sometimes])

    return champion


def _was_promoted(run: StepRun, candidate: dg.AssetKey, promoted: dg.AssetKey) -> bool:
    if latest_record(run.context.instance, promoted, run.identity.partition) is None:
        return False
    versions = [
        render(FromAsset(key, "version"), partition_key=None, values=run.values)
        for key in (promoted, candidate)
    ]
    return bool(versions[0] == versions[1])
