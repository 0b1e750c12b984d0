"""DriftGateOperator: nothing goes on where the data has moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

from backbeat.drift.action import RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat_provider.operators.drift_check import DriftCheckOperator, alarms_of, known_verdicts
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["DriftGateOperator"]


class DriftGateOperator(DriftCheckOperator):
    """Check for drift and fail, without a retry, on the verdicts that must stop the workflow.

    Args:
        current: The new data: a URI, or the fields of a `Dataset`.
        reference: Store key of a profile, or `models:/<name>@<alias>`.
        stop_on: Verdicts that fail the task; too little data to tell is one of them.
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

    Output: that of `DriftCheckOperator`.
    """

    def __init__(
        self,
        *,
        current: Templated[DatasetFields],
        reference: Templated[str],
        stop_on: Sequence[str] = ("drifted", "broken", "insufficient_data"),
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
        known_verdicts(stop_on, where="stop_on")
        self.stop_on = stop_on
        super().__init__(
            current=current,
            reference=reference,
            columns=columns,
            q=q,
            effect_floor=effect_floor,
            power=power,
            report=report,
            monitor=monitor,
            partition=partition,
            rules=rules,
            retrain=retrain,
            **kwargs,
        )

    def execute(self, context: Any) -> dict[str, Any]:
        """Check, and stop where the verdict says so.

        Raises:
            AirflowFailException: The verdict is one of `stop_on`.
        """
        value = super().execute(context)
        if value["verdict"] in self.stop_on:
            raise AirflowFailException(
                f"the drift gate is closed: {value['verdict']} "
                f"({', '.join(alarms_of(value)) or 'no single column'})"
            )
        return value
