"""DriftCheckOperator: has the data moved away from what the model was trained on?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from backbeat.drift.action import RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat.errors import InvalidStep
from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["DriftCheckOperator", "alarms_of", "known_verdicts"]

_VERDICTS = ("stable", "drifted", "broken", "insufficient_data", "no_reference")


def known_verdicts(names: Collection[str], *, where: str) -> None:
    """Refuse, when the DAG file is parsed, a verdict that no check will ever give.

    Raises:
        InvalidStep: One of the names is no verdict.
    """
    unknown = sorted(set(names) - set(_VERDICTS))
    if unknown:
        raise InvalidStep(
            f"{where} names {unknown[0]!r}, which is no drift verdict",
            hint=f"verdicts: {', '.join(_VERDICTS)}; with `retrain`, a branch also knows the "
            "actions retrain and hold",
        )


def alarms_of(value: Mapping[str, Any]) -> Sequence[str]:
    """The columns that people are told of: with a monitor, those that nobody has muted."""
    found: Sequence[str] = value.get("alarms", value["columns"])
    return found


class DriftCheckOperator(StepOperator):
    """Compare a table with a stored profile; drift is an answer, not a failure.

    `DriftBranchOperator` follows the verdict, `DriftGateOperator` stops on it.

    Args:
        current: The new data: a URI, or the fields of a `Dataset`.
        reference: Store key of a profile, or `models:/<name>@<alias>` for the profile that is bound
            to that model version.
        columns: Which columns; all of the profile's where None.
        q: False discovery rate of Benjamini-Hochberg over the columns.
        effect_floor: Smallest effect that counts, between 0 and 1.
        power: Chance with which a shift as large as the floor must be seen.
        report: Store prefix for the HTML report; empty writes none.
        monitor: Store prefix of a monitor: the batch is judged by its past, and becomes a part of
            it. Empty judges without a history.
        partition: The batch's name, such as `{{ ds }}`; a monitor needs it.
        rules: Every threshold (`backbeat.drift.Rules`), instead of those three.
        retrain: When drift starts a retraining (`backbeat.drift.RetrainPolicy`); needs a monitor.

    Output: `verdict` (stable, drifted, broken, insufficient_data, no_reference), `calibrated`,
    `columns`, `rows`, `reference`, `report`; with a monitor or rules also `severity`, `alarms`,
    `history_batches`, `cause`, `batch`; with `retrain` also `action` (`retrain` or `hold`),
    `because`, `action_reason`.
    """

    step_kind = "drift.check/v1"
    template_fields: Sequence[str] = (
        "current",
        "reference",
        "columns",
        "q",
        "effect_floor",
        "power",
        "report",
        "monitor",
        "partition",
        "rules",
        "retrain",
        "backbeat_conn_id",
    )
    template_fields_renderers = {  # noqa: RUF012
        "current": "json",
        "columns": "json",
        "rules": "json",
        "retrain": "json",
    }

    def __init__(
        self,
        *,
        current: Templated[DatasetFields],
        reference: Templated[str],
        columns: Templated[Sequence[str] | None] = None,
        q: Templated[float] = 0.05,
        effect_floor: Templated[float] = 0.1,
        power: Templated[float] = 0.8,
        report: Templated[str] = "reports/drift",
        monitor: Templated[str] = "",
        partition: Templated[str] = "",
        rules: Templated[Rules | None] = None,
        retrain: Templated[RetrainPolicy | None] = None,
        **kwargs: Any,
    ) -> None:
        self.current = current
        self.reference = reference
        self.columns = columns
        self.q = q
        self.effect_floor = effect_floor
        self.power = power
        self.report = report
        self.monitor = monitor
        self.partition = partition
        self.rules = rules
        self.retrain = retrain
        super().__init__(**kwargs)
