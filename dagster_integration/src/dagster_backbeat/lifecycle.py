"""`model_lifecycle`: assets, checks, sign-off, guard, sensors and job of one model, wired once.

    landed ─[quality]─ drift ─ candidate ─ profile
                         │         └────── comparison ─[signoff]─ signoff ─ promoted
                         └───────────────────────── champion ─────────────────┘
                                                       └── scores

A quiet night goes from `drift` straight to `champion` and `scores`. A night that waits for people
ends after the request; the sensor starts a second run of `signoff` and what lies behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import dagster as dg

from backbeat.drift.action import RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat.errors import UnmetNeed
from dagster_backbeat.candidate import Source, candidate_model
from dagster_backbeat.champion import serving_champion
from dagster_backbeat.comparison import comparison_check
from dagster_backbeat.drift import drift_check
from dagster_backbeat.fields import Data, FromAsset, Key, Texts, When, asset_key
from dagster_backbeat.inference import inference_asset
from dagster_backbeat.profile import profile_asset
from dagster_backbeat.promotion import promoted_model
from dagster_backbeat.quality import quality_checks
from dagster_backbeat.resource import BackbeatResource
from dagster_backbeat.sensor import signoff_sensor
from dagster_backbeat.sharing import refuse_unshared_executor
from dagster_backbeat.signoff import signoff_gate

__all__ = ["model_lifecycle"]


def model_lifecycle(
    *,
    model: str,
    backbeat: BackbeatResource,
    partitions_def: dg.PartitionsDefinition[str],
    landed: Key,
    data: Data,
    suite: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    context_root: str | None = None,
    suite_name: str | None = None,
    current: Data,
    drift_columns: Texts | None = None,
    effect_floor: float = 0.1,
    monitor: str = "",
    rules: Rules | Mapping[str, Any] | None = None,
    retrain: RetrainPolicy | Mapping[str, Any] | None = None,
    source: Source,
    trained: Data,
    compared: Data,
    labels: Data,
    key: str,
    label_column: str,
    groups: str | None = None,
    metric: Literal["log_loss", "brier", "roc_auc", "mae", "rmse"] = "log_loss",
    approvers: Texts = (),
    quorum: int = 2,
    deadline: timedelta | float | str = timedelta(days=3),
    scores: str,
    features: Texts | None = None,
    shard_rows: int = 10_000,
    executor: dg.ExecutorDefinition | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    sensor_seconds: int = 30,
) -> dg.Definitions:
    """Everything around one model, from the check of new data to its scores.

    The assets are `<model>/drift`, `/candidate`, `/profile`, `/comparison`, `/signoff`,
    `/promoted`, `/champion` and `/scores`; the job is `<model>_lifecycle`, its sensor
    `<model>_signoff`, and `<model>_signoff_assets` that of runs outside of the job. A retraining
    happens where drift is found or there is no champion yet; a candidate is put before people where
    it is better or there is no champion yet.

    Args:
        model: Registered model's name, and the prefix of the assets.
        backbeat: The platform; sign-off needs its ledger.
        partitions_def: The job's partitions, usually days.
        landed: The asset that lands new data; it may be one that Dagster does not make.
        data: What is checked and scored.
        suite: Great Expectations suite as data,
        context_root: or an existing GX project folder
        suite_name: and the suite's name in it.
        current: What is held against the champion's profile.
        drift_columns: Columns that are watched; all of the profile's where None.
        effect_floor: Smallest effect that counts as drift, between 0 and 1.
        monitor: Store prefix of a monitor, which keeps the history of `current` and the suite's
            results; the partition is the batch's name. Empty judges without a history.
        rules: Every threshold (`backbeat.drift.Rules`), instead of `effect_floor`.
        retrain: When drift starts a retraining (`backbeat.drift.RetrainPolicy`); every time where
            None. It needs a monitor.
        source: Where candidates come from, see `candidate_model`.
        trained: Features that a candidate was trained on; its profile is the next reference.
        compared: Features of days that neither model was trained on.
        labels: Their labels.
        key: Column that identifies a row.
        label_column: The labels' column.
        groups: Column whose equal rows are resampled together, such as the day.
        metric: How champion and challenger are judged.
        approvers: Ids that may sign off; empty means anybody who is known.
        quorum: Approvals of distinct people that it takes.
        deadline: After how long a request is rejected: seconds or ISO 8601.
        scores: Store prefix of the scores.
        features: Columns that the model gets; all but the key where None.
        shard_rows: Rows of a shard of scores.
        executor: The job's executor; the code location's where None.
        retry_policy: How often a step of the job is tried again where a retry can help, and the
            first wait; three times, from ten seconds on, where None.
        sensor_seconds: How often the sensors look for decisions.

    Raises:
        DagsterInvalidDefinitionError: A literal field is wrong, the platform has no ledger, or the
            executor's steps cannot share it.
    """
    if backbeat.ledger == "none":
        raise dg.DagsterInvalidDefinitionError(
            f"the lifecycle of {model} asks people, and a sign-off needs a ledger (rung 1): "
            "leave BackbeatResource.ledger at its default, or use drift_check and quality_checks"
        )
    try:
        refuse_unshared_executor(backbeat.settings, executor)
    except UnmetNeed as error:
        raise dg.DagsterInvalidDefinitionError(str(error)) from error
    champion = f"models:/{model}@champion"
    names = {
        name: asset_key(f"{model}/{name}")
        for name in (
            "drift",
            "candidate",
            "profile",
            "comparison",
            "signoff",
            "promoted",
            "champion",
            "scores",
        )
    }
    retrains = When(names["drift"], "verdict", ("drifted", "no_reference"))
    if retrain is not None:
        retrains = When(names["drift"], "action", ("retrain",))
    better = When(names["comparison"], "verdict", ("better", "no_champion"))
    version = FromAsset(names["candidate"], "version")
    uri = FromAsset(names["candidate"], "uri")
    shape: dict[str, Any] = {"partitions_def": partitions_def, "group_name": model}

    quality = quality_checks(
        on=landed,
        data=data,
        suite=suite,
        context_root=context_root,
        suite_name=suite_name,
        monitor=monitor,
        partition="{{ partition_key }}" if monitor else "",
        partitions_def=partitions_def,
    )
    drift = drift_check(
        asset=names["drift"],
        current=current,
        reference=champion,
        columns=drift_columns,
        effect_floor=effect_floor,
        monitor=monitor,
        partition="{{ partition_key }}" if monitor else "",
        rules=rules,
        retrain=retrain,
        deps=[landed],
        **shape,
    )
    candidate = candidate_model(
        asset=names["candidate"], model=model, source=source, when=retrains, **shape
    )
    profile = profile_asset(
        asset=names["profile"],
        data=trained,
        output_key=FromAsset(names["candidate"], "version", text=f"profiles/{model}/{{}}.json"),
        columns=drift_columns,
        model=uri,
        **shape,
    )
    comparison = comparison_check(
        asset=names["comparison"],
        challenger=uri,
        champion=champion,
        data=compared,
        labels=labels,
        key=key,
        label_column=label_column,
        groups=groups,
        metric=metric,
        # a version that is promoted must have its profile: tomorrow's drift is held against it
        deps=[names["profile"]],
        **shape,
    )
    gate = signoff_gate(
        asset=names["signoff"],
        on=names["comparison"],
        subject=FromAsset(names["candidate"], "version", text=f"Promote {model} {{}}"),
        about={"model": model, "version": version},
        evidence=FromAsset(names["comparison"]),
        approvers=approvers,
        quorum=quorum,
        deadline=deadline,
        when=better,
        **shape,
    )
    promoted = promoted_model(
        asset=names["promoted"],
        model=model,
        version=version,
        expected=FromAsset(names["comparison"], "champion_version"),
        request_id=FromAsset(names["signoff"], "request_id"),
        **shape,
    )
    serving = serving_champion(
        asset=names["champion"],
        model=model,
        promoted=names["promoted"],
        candidate=names["candidate"],
        promotes=(retrains, better),
        **shape,
    )
    scored = inference_asset(
        asset=names["scores"],
        model=champion,
        data=data,
        output_key=scores,
        key=[key],
        features=features,
        shard_rows=shard_rows,
        deps=[names["champion"]],
        **shape,
    )
    job = dg.define_asset_job(
        f"{model}_lifecycle",
        selection=dg.AssetSelection.assets(*names.values()) | dg.AssetSelection.checks(quality),
        executor_def=executor,
        op_retry_policy=retry_policy,
    )
    return dg.Definitions(
        assets=[drift, candidate, profile, comparison, gate.asset, promoted, serving, scored],
        asset_checks=[quality, gate.check],
        jobs=[job],
        sensors=[
            signoff_sensor(
                gates=[gate], job=watched, name=name, minimum_interval_seconds=sensor_seconds
            )
            for name, watched in (
                (f"{model}_signoff", job.name),
                (f"{model}_signoff_assets", None),
            )
        ],
        resources={"backbeat": backbeat},
    )
