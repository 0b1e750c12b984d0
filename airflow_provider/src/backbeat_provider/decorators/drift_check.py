"""`@task.drift_check`: the team's own task lands data, and what it returns is checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION

from backbeat.drift.action import RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat_provider.decorators.calling import called, own_fields
from backbeat_provider.operators.drift_check import DriftCheckOperator
from backbeat_provider.operators.templated import Templated

__all__ = ["drift_check_task"]

_RETURNS = "the data's key or URI, or the fields of a Dataset"


class _DriftCheckedOperator(DecoratedOperator, DriftCheckOperator):  # type: ignore[misc]
    """Runs the function, then checks the data that it names."""

    custom_operator_name = "@task.drift_check"
    # the rendered fields that people see hold what the function has returned
    overwrite_rtif_after_execution = True
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *DriftCheckOperator.template_fields,
    )
    template_fields_renderers = {  # noqa: RUF012
        **DecoratedOperator.template_fields_renderers,
        **DriftCheckOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
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
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # the decorator guesses it from annotations of a value that is not this task's output
        kwargs.pop("multiple_outputs", None)
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            current=SET_DURING_EXECUTION,
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

    def step_fields(self) -> dict[str, Any]:
        """The check's fields; the function's arguments are not among them."""
        return own_fields(super().step_fields())

    def execute(self, context: Any) -> Any:
        """Land the data, then check it.

        Raises:
            AirflowFailException: The function returned something else than data's address.
        """
        returned = called(self, context)
        if not isinstance(returned, str | Mapping) or not returned:
            raise AirflowFailException(
                f"{self.python_callable.__name__} returned {type(returned).__name__}, "
                f"@task.drift_check wants {_RETURNS}"
            )
        self.current = returned
        return DriftCheckOperator.execute(self, context)


def drift_check_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """`@task.drift_check(reference=...)`: check the data that a task of your own has landed.

    Args:
        python_callable: The function; returns the data's key or URI, or the fields of a `Dataset`.
        kwargs: `reference`, the other fields of `DriftCheckOperator` but `current`,
            `backbeat_conn_id`, and Airflow's own task arguments.

    Returns:
        The decorated task; its output is that of `DriftCheckOperator`.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_DriftCheckedOperator, **kwargs
    )
