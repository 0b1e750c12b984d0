"""`promoted_model`: the alias moves to the version that was signed off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from backbeat.errors import Refused
from backbeat.step import Outcome, Step
from backbeat.steps import PromoteModel
from dagster_backbeat.fields import Key, Text, When
from dagster_backbeat.outcome import StepRun
from dagster_backbeat.step_asset import step_asset

__all__ = ["promoted_model"]


def promoted_model(
    *,
    asset: Key,
    model: Text,
    version: Text,
    expected: Text | None = None,
    alias: Text = "champion",
    request_id: Text | None = None,
    in_backfill: bool = False,
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that is a promotion.

    With `request_id` the step reads the decision again from the ledger and refuses unless exactly
    this version was approved: whatever started the run, it fails closed.

    Args:
        asset: Key of the asset made.
        model: See `PromoteModel`, as the fields below.
        version: Where the alias is to point.
        expected: The version that the evidence saw behind the alias.
        alias: Such as `champion`.
        request_id: The sign-off that must have approved exactly this version.
        in_backfill: Whether a backfill may promote too.
        deps: Assets that come before.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    return step_asset(
        PromoteModel,
        locals(),
        kind="mlflow",
        description="The alias moves to the version that was signed off.",
        perform=_signed_off,
    )


def _signed_off(run: StepRun, cls: type[Step], fields: Mapping[str, Any]) -> Outcome:
    step = run.step(cls, fields)
    if fields["request_id"] is not None and getattr(step, "request_id", None) is None:
        # an asset that somebody reported by hand may name no request: that is no approval
        raise Refused(
            f"{run.task} needs a sign-off, and what it refers to names none",
            hint="materialize the sign-off's asset; a report by hand opens nothing",
        )
    return run.door(step)
