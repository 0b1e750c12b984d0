"""The one shape that the asset factories share."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import dagster as dg

from backbeat.step import Outcome, Step
from dagster_backbeat.alerts import with_alert
from dagster_backbeat.fields import Key, When, asset_key, check_literals, referenced_assets
from dagster_backbeat.outcome import StepRun, dagster_errors, materialized

__all__ = ["asset_of", "dagster_part", "step_asset"]

Partitions: TypeAlias = dg.PartitionsDefinition[str] | None
Check: TypeAlias = tuple[str, str, Callable[[Outcome], dg.AssetCheckResult]]


def step_asset(
    cls: type[Step],
    given: Mapping[str, Any],
    *,
    kind: str,
    description: str,
    perform: Callable[[StepRun, type[Step], Mapping[str, Any]], Outcome] = StepRun.perform,
    check: Check | None = None,
) -> dg.AssetsDefinition:
    """The asset of one step; the step's literal fields are validated now.

    Args:
        cls: The step's class.
        given: A factory's arguments by name: the step's fields, and Dagster's own part.
        kind: See `asset_of`.
        description: For people, where the factory was given none.
        perform: Goes through backbeat's door with the step.
        check: See `asset_of`.
    """
    fields = {name: given[name] for name in cls.model_fields if name in given}
    check_literals(cls, fields)
    return asset_of(
        lambda run: perform(run, cls, fields),
        kind=kind,
        refers_to=fields,
        check=check,
        **dagster_part(given, description=description),
    )


def dagster_part(given: Mapping[str, Any], *, description: str) -> dict[str, Any]:
    """What a factory's arguments say to Dagster: the part that all asset factories share."""
    names = ("asset", "deps", "when", "partitions_def", "group_name", "resource_key")
    part = {name: given[name] for name in names} | {"pool": given.get("pool")}
    return part | {"description": given["description"] or description}


def asset_of(
    body: Callable[[StepRun], Outcome],
    *,
    asset: Key,
    kind: str,
    description: str | None,
    refers_to: Any,
    deps: Sequence[Key],
    when: When | None,
    partitions_def: Partitions,
    group_name: str | None,
    resource_key: str,
    pool: str | None = None,
    check: Check | None = None,
) -> dg.AssetsDefinition:
    """An asset whose materialization is a step's Done.

    Args:
        body: Performs, and returns the outcome.
        asset: Its key.
        kind: The badge that the UI shows beside `backbeat`.
        description: For people.
        refers_to: Raw fields; the assets that they name become dependencies.
        deps: More dependencies.
        when: Condition under which there is something to do.
        partitions_def: Its partitions.
        group_name: Its group.
        resource_key: The `BackbeatResource` to run on.
        pool: Its pool, where it shares one.
        check: Name and description of a check that the same step decides, and how; where it fails
            with severity ERROR, the asset fails with it and nothing downstream starts.
    """
    key = asset_key(asset)
    upstream = dict.fromkeys([*map(asset_key, deps), *referenced_assets([refers_to, when])])

    @dg.asset(  # type: ignore[untyped-decorator]
        key=key,
        description=description,
        deps=list(upstream),
        partitions_def=partitions_def,
        group_name=group_name,
        kinds={"backbeat", kind},
        required_resource_keys={resource_key},
        pool=pool,
        check_specs=[dg.AssetCheckSpec(check[0], asset=key, description=check[1])]
        if check
        else None,
        # a step that waits, or whose condition does not hold, yields nothing
        output_required=False,
    )
    def compute(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        run = StepRun(context, key.to_user_string(), resource_key, partitions_def)
        since = time.perf_counter()
        with dagster_errors(run):
            if not run.wanted(when):
                return
            outcome = body(run)
            yield from materialized(run, outcome, key=key, since=since)
        if check:
            result = with_alert(check[2](outcome), run)
            yield result
            if not result.passed and result.severity is dg.AssetCheckSeverity.ERROR:
                # what a blocking check does; but one would give the asset's readers an input of
                # two sources, which Dagster cannot fan in further (see champion.py)
                raise dg.Failure(description=result.description, allow_retries=False)

    return compute
