"""model.train/v1: the user's own training function, its model logged once."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from backbeat.data import reading, require_columns
from backbeat.errors import ContractBroken, InvalidData
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Replay, Step, StepContext
from backbeat.steps.exclusive import exclusive
from backbeat.steps.model_reference import run_model
from backbeat.steps.pinned import open_pinned, pin

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["TrainModel"]

_SAMPLE_ROWS = 50


class TrainModel(Step):
    """Train by import path, check that the model can be scored, and log it as one run.

    The same code on the same data with the same parameters is the same run: performing again
    finds it.

    Args:
        function: `package.module:function`, called as `function(data, params)` with open pyarrow
            datasets by name; returns a fitted model or a `backbeat.training.Trained`.
        data: What it is trained on, by name.
        features: The model's input columns; one of the datasets must have them all.
        train_params: Handed to the function and logged.
        experiment: Experiment that the run belongs to.
        predict: The method that scores: `predict_proba` for classifiers, `predict` for regressors.

    Value: `run_id`, `model_uri` (`runs:/<id>/model`), `trained_through` (the last day of the data,
    where it is counted in days), `reused`, `link` (the run's page, where MLflow is a server).
    """

    kind: ClassVar[str] = "model.train/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE, Need.REGISTRY, Need.LEDGER})
    replay: ClassVar[Replay] = Replay.CONTENT

    function: str = Field(pattern=r"^[\w.]+:\w+$")
    data: dict[str, Dataset] = Field(min_length=1)
    features: tuple[str, ...] = Field(min_length=1)
    train_params: dict[str, Any] = Field(default_factory=dict)
    experiment: str = "backbeat"
    predict: Literal["predict", "predict_proba"] = "predict_proba"

    def required(self) -> frozenset[Need]:
        """The ledger only keeps equal trainings apart: rung 0 trains without."""
        return frozenset({Need.STORE, Need.REGISTRY})

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin every dataset and the code."""
        from backbeat.training import code_digest, load_function

        inputs = {name: pin(ctx, dataset) for name, dataset in self.data.items()}
        return {**inputs, "code": code_digest(load_function(self.function))}

    def perform(self, ctx: StepContext) -> Outcome:
        """Train and log, or find the run that did."""
        from backbeat.training import check_scoreable, fit, load_function

        opened: dict[str, ds.Dataset] = {}
        refs: list[DataRef] = []
        for name, dataset in self.data.items():
            opened[name], found = open_pinned(ctx, name, dataset)
            refs.extend(found)
        effect = ctx.effect_id("run", content={"step": self.digest(), "inputs": dict(ctx.inputs)})
        through = self._trained_through()
        run_id = ctx.registry.find_run(effect)
        reused = run_id is not None
        if run_id is None:
            sample = self._sample(opened)
            trained = fit(load_function(self.function), data=opened, params=self.train_params)
            check_scoreable(trained.model, sample, self.predict)
            tags = {"backbeat.function": self.function}
            if through is not None:
                tags["backbeat.trained_through"] = through.isoformat()
            with exclusive(ctx, effect):
                ctx.ensure_current()
                run_id = ctx.registry.find_run(effect)  # another run may have been faster
                reused = run_id is not None
                run_id = run_id or ctx.registry.log_model(
                    trained.model,
                    effect_id=effect,
                    experiment=self.experiment,
                    predict=self.predict,
                    sample=sample,
                    params={**self.train_params, **trained.params},
                    metrics=trained.metrics,
                    tags=tags,
                )
        model = run_model(run_id)
        return Done(
            value={
                "run_id": run_id,
                "model_uri": model.uri,
                "trained_through": through.isoformat() if through else None,
                "reused": reused,
                "link": ctx.registry.link("run", run_id=run_id),
            },
            # of the run, not of this attempt: one that only finds the run tells the same
            metrics=dict(ctx.registry.run_metrics(run_id)),
            inputs=tuple(refs),
            outputs=(model,),
        )

    def _trained_through(self) -> date | None:
        days = [day for dataset in self.data.values() for day in dataset.days_covered()]
        return max(days) if days else None

    def _sample(self, opened: dict[str, ds.Dataset]) -> Any:
        for name, table in opened.items():
            if set(self.features) <= set(table.schema.names):
                with reading(name):
                    rows = table.head(_SAMPLE_ROWS, columns=list(self.features))
                if len(rows) == 0:
                    raise InvalidData(
                        f"the {name} have no rows to train on", hint="check that data has landed"
                    )
                return rows.to_pandas()
        first = next(iter(opened))
        require_columns(opened[first], self.features, what=first)
        raise ContractBroken("no dataset has all features", hint="list fewer features")
