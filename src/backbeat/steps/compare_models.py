"""model.compare/v1: champion and challenger on the same rows, whose labels are in."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from backbeat.canonical import digest
from backbeat.data import reading, require_columns
from backbeat.errors import ContractBroken, InvalidData, Refused
from backbeat.ports import ModelVersion, Need
from backbeat.reference import Dataset
from backbeat.step import Done, Outcome, Step, StepContext
from backbeat.steps.model_reference import registered_model
from backbeat.steps.pinned import open_pinned, pin

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CompareModels"]

Metric = Literal["log_loss", "brier", "roc_auc", "mae", "rmse"]

_NONE = "none"


class CompareModels(Step):
    """Score both models on the same labelled rows and bootstrap the difference.

    Args:
        challenger: `models:/<name>/<version>` of the candidate.
        champion: What it must beat; an alias that does not exist yet gives `no_champion`.
        data: Features of days that neither model was trained on.
        labels: Labels of those days, as far as they have arrived.
        key: Column that joins the two; unique in both.
        label_column: The labels' column.
        groups: Column of the data whose equal rows belong together, such as the day: whole groups
            are resampled, because what one night's weather does to a thousand flights is one
            observation and not a thousand. None resamples rows.
        metric: log_loss, brier, roc_auc, mae or rmse.
        margin: By how much the challenger must be better, in the metric's unit.
        confidence: Of the interval, between 0 and 1.
        samples: Bootstrap samples.
        seed: Of the bootstrap.

    Value: `verdict` (better, not_better, no_champion), `metric`, `champion`, `challenger` (their
    scores), `difference`, `low`, `high` (above 0: the challenger is better), `rows`,
    `champion_version`, `challenger_version`, `model`, `version` (the challenger's), `evidence`
    (digest of all of it).
    """

    kind: ClassVar[str] = "model.compare/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE, Need.REGISTRY})

    challenger: str = Field(min_length=1)
    champion: str = Field(min_length=1)
    data: Dataset
    labels: Dataset
    key: str
    label_column: str
    groups: str | None = None
    metric: Metric = "log_loss"
    margin: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    samples: int = Field(default=2000, ge=100, le=100_000)
    seed: int = 0

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin both tables, and both models to versions."""
        name, _, alias = self.champion.removeprefix("models:/").partition("@")
        absent = bool(alias) and ctx.registry.alias(name, alias) is None
        return {
            "data": pin(ctx, self.data),
            "labels": pin(ctx, self.labels),
            "challenger": ctx.registry.resolve(self.challenger).uri,
            "champion": _NONE if absent else ctx.registry.resolve(self.champion).uri,
        }

    def perform(self, ctx: StepContext) -> Outcome:
        """Score, join, compare."""
        from backbeat.inference import as_scores
        from backbeat.training import compare

        challenger = ctx.registry.resolve(ctx.inputs["challenger"])
        champion = None
        if ctx.inputs["champion"] != _NONE:
            champion = ctx.registry.resolve(ctx.inputs["champion"])
        for model in (challenger, champion):
            self._refuse_seen_days(model)
        features, feature_refs = open_pinned(ctx, "data", self.data)
        labels, label_refs = open_pinned(ctx, "labels", self.labels)
        grouped = [self.groups] if self.groups else []
        require_columns(features, [self.key, *grouped], what="data")
        require_columns(labels, [self.key, self.label_column], what="labels")
        with reading("data"):
            feature_rows = features.to_table()
        with reading("labels"):
            label_rows = labels.to_table(columns=[self.key, self.label_column])
        rows, known = self._joined(feature_rows, label_rows)
        truth = known.to_numpy()
        frame = rows.to_pandas()

        def scores(version: ModelVersion) -> Any:
            model = ctx.registry.load(version.uri)
            # champion and challenger may have been trained on different columns
            columns = model.columns or tuple(frame.columns)
            known = [name for name in columns if name in frame.columns]
            return as_scores(model.predict(frame[known]), len(truth))

        ours = scores(challenger)
        theirs = ours if champion is None else scores(champion)
        result = compare(
            truth,
            theirs,
            ours,
            metric=self.metric,
            groups=rows[self.groups].to_numpy(zero_copy_only=False) if self.groups else None,
            confidence=self.confidence,
            samples=self.samples,
            seed=self.seed,
            margin=self.margin,
        )
        value: dict[str, Any] = {
            "verdict": result.verdict if champion else "no_champion",
            "metric": self.metric,
            "champion": result.champion if champion else None,
            "challenger": result.challenger,
            "difference": result.difference if champion else None,
            "low": result.low if champion else None,
            "high": result.high if champion else None,
            "rows": result.rows,
            "champion_version": champion.version if champion else None,
            "challenger_version": challenger.version,
            "model": challenger.name,
            "version": challenger.version,
        }
        evidence = {**value, "inputs": dict(ctx.inputs), "confidence": self.confidence}
        return Done(
            value={**value, "evidence": digest(evidence)},
            metrics={
                name: value[name]
                for name in ("champion", "challenger", "difference", "low", "high")
                if value[name] is not None
            },
            inputs=(
                *feature_refs,
                *label_refs,
                *(registered_model(model) for model in (champion, challenger) if model),
            ),
            evidence=evidence,
        )

    def _joined(self, features: pa.Table, labels: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
        """Rows of the model's columns in order of the key, and the label of each."""
        import pyarrow.compute as pc

        for name, table in (("data", features), ("labels", labels)):
            if len(table) != len(table[self.key].unique()):
                raise InvalidData(
                    f"{self.key} is not unique in the {name}", hint="compare on a unique row key"
                )
        labels = labels.filter(labels[self.label_column].is_valid())
        names, known = self._comparable(features[self.key], labels[self.key])
        found = pc.index_in(names, value_set=known.combine_chunks(), skip_nulls=True)
        order = pc.sort_indices(names)
        order = order.filter(found.take(order).is_valid())
        if len(order) == 0:
            raise InvalidData(
                "no row of the data has a label yet", hint="compare on days whose labels are in"
            )
        # a label among the features would be told to the models
        unseen = {self.key, self.label_column} & set(features.column_names)
        rows = features.take(order).drop_columns(sorted(unseen))
        return rows, labels[self.label_column].take(found.take(order))

    def _comparable(
        self, ours: pa.ChunkedArray, theirs: pa.ChunkedArray
    ) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Both keys as one type, where they differ in nothing but how they are laid out."""
        import pyarrow as pa

        plain = [
            keys.cast(keys.type.value_type) if pa.types.is_dictionary(keys.type) else keys
            for keys in (ours, theirs)
        ]
        kinds = {keys.type for keys in plain}
        for alike, common in ((_is_text, pa.large_string()), (pa.types.is_integer, pa.int64())):
            if len(kinds) > 1 and all(alike(kind) for kind in kinds):
                plain = [keys.cast(common) for keys in plain]
                kinds = {common}
        if len(kinds) > 1:
            raise ContractBroken(
                f"{self.key} is {ours.type} in the data and {theirs.type} in the labels",
                hint="write the key with one type on both sides",
            )
        return plain[0], plain[1]

    def _refuse_seen_days(self, model: ModelVersion | None) -> None:
        through = model.tags.get("backbeat.trained_through") if model else None
        days = self.data.days_covered()
        if model and through and days and min(days) <= _day(model, through):
            raise Refused(
                f"{model.uri} was trained through {through}, and the comparison begins on "
                f"{min(days)}: a model is not judged on days that it has seen",
                hint="compare on later days, or train on earlier ones",
            )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _day(model: ModelVersion, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidData(
            f"{model.uri} has the tag backbeat.trained_through={text!r}, which is no day",
            hint="set the tag to the last day of its training data, such as 2024-05-31",
        ) from None
