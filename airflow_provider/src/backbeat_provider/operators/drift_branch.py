"""DriftBranchOperator: the verdict decides which tasks go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.operators.branch import BranchMixIn

from backbeat.drift.action import RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat_provider.operators.drift_check import DriftCheckOperator, alarms_of, known_verdicts
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["DriftBranchOperator"]

_ACTIONS = frozenset({"retrain", "hold"})


class DriftBranchOperator(DriftCheckOperator, BranchMixIn):  # type: ignore[misc]
    """Check for drift and follow the verdict; other tasks directly downstream are skipped.

    A verdict that is not listed follows nothing. `broken` (a unit, a schema or the nulls of a
    column have changed) fails the task unless it is listed. With a policy for retraining the
    action, `retrain` or `hold`, is followed where it is listed, else the verdict.

    Args:
        current: The new data: a URI, or the fields of a `Dataset`.
        reference: Store key of a profile, or `models:/<name>@<alias>`.
        follow: Task id, task group id or a list of them for each verdict or action.
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

    inherits_from_skipmixin = True

    def __init__(
        self,
        *,
        current: Templated[DatasetFields],
        reference: Templated[str],
        follow: Mapping[str, str | Sequence[str]],
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
        verdicts = [name for name in follow if retrain is None or name not in _ACTIONS]
        known_verdicts(verdicts, where="follow")
        self.follow = follow
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
        """Check, then skip what the verdict does not lead to.

        Raises:
            AirflowFailException: The data is broken and `follow` does not say what to do then.
            DownstreamTasksSkipped: Airflow's own way to leave a branching task.
        """
        value = super().execute(context)
        verdict = value["verdict"]
        if verdict == "broken" and "broken" not in self.follow:
            raise AirflowFailException(
                f"the data is broken: {', '.join(alarms_of(value)) or 'see the report'}. "
                "Hint: repair the feed, or list `broken` in `follow`"
            )
        if self.do_xcom_push:
            # branching leaves by an exception, which would lose what execute returns
            for key, item in {**value, "return_value": value}.items():
                context["ti"].xcom_push(key=key, value=item)
        action = value.get("action", "")
        led_by = action if action in self.follow else verdict
        self.do_branch(context, self.follow.get(led_by))
        return value
