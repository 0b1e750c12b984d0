"""`candidate_model`: a model made here or anywhere becomes a version that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Literal, TypeAlias

import dagster as dg

from backbeat.errors import UserCodeFailed
from backbeat.step import Done, Outcome
from backbeat.steps import RegisterCandidate, TrainModel
from dagster_backbeat.fields import Data, FromAsset, Key, Text, Texts, When, check_literals
from dagster_backbeat.outcome import StepRun
from dagster_backbeat.step_asset import asset_of, dagster_part

__all__ = ["Training", "candidate_model"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """The raw fields of `TrainModel`: the user's own training function by import path.

    Args:
        function: `package.module:function`, called as `function(data, params)`.
        data: What it is trained on, by name.
        features: The model's input columns.
        train_params: Handed to the function and logged.
        experiment: Experiment that the run belongs to.
        predict: The method that scores.
    """

    function: str
    data: Mapping[str, Data]
    features: Texts
    train_params: Mapping[str, Any] = field(default_factory=dict)
    experiment: Text = "backbeat"
    predict: Literal["predict", "predict_proba"] = "predict_proba"

    def raw(self) -> dict[str, Any]:
        """The fields by name, not copied: references stay references."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


Source: TypeAlias = str | FromAsset | Training | Callable[[Any], str | Mapping[str, Any]]


def candidate_model(
    *,
    asset: Key,
    model: Text,
    source: Source,
    trained_through: date | Text | None = None,
    tags: Mapping[str, Text] | None = None,
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that is a newly registered model version.

    Args:
        asset: Key of the asset made.
        model: Registered model's name.
        source: `Training(...)`; or a run id or model URI, as text or from another asset; or a
            function of the execution context that returns one, or `{"source", "trained_through"}`.
        trained_through: Last day of its training data; known by itself with `Training`.
        tags: Added to the version.
        deps: Assets that come before.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    given = locals()
    register: dict[str, Any] = {
        "model": model,
        "trained_through": trained_through,
        "tags": tags or {},
    }
    check_literals(RegisterCandidate, {**register, "source": "checked at run time"})
    if isinstance(source, Training):
        check_literals(TrainModel, source.raw())
    refers_to: list[Any] = [register, source.raw() if isinstance(source, Training) else source]

    def body(run: StepRun) -> Outcome:
        made = _made(run, source)
        if isinstance(made, Mapping):
            set_here = {name: value for name, value in register.items() if value is not None}
            return run.perform(RegisterCandidate, {**made, **set_here})
        return made

    return asset_of(
        body,
        kind="mlflow",
        refers_to=refers_to,
        **dagster_part(given, description="A new version of the model, to be compared."),
    )


def _made(run: StepRun, source: Source) -> Mapping[str, Any] | Outcome:
    """Fields of the candidate; an outcome where training did not end with a model."""
    if isinstance(source, Training):
        trained = run.perform(TrainModel, source.raw())
        if not isinstance(trained, Done):
            return trained
        value = trained.value
        return {"source": value["model_uri"], "trained_through": value["trained_through"]}
    if callable(source):
        found = source(run.context)
        if isinstance(found, str):
            return {"source": found}
        if isinstance(found, Mapping) and "source" in found:
            return found
        raise UserCodeFailed(
            f"the candidate's function returned {found!r}, which names no model",
            hint='return a run id, a model URI, or {"source": ..., "trained_through": ...}',
        )
    return {"source": source}
