"""`@task.candidate`: the team's own training task; what it returns becomes a candidate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION

from backbeat_provider.decorators.calling import called, own_fields
from backbeat_provider.operators.register_candidate import RegisterCandidateOperator
from backbeat_provider.operators.templated import Templated

__all__ = ["candidate_task"]

_RETURNS = 'a run id, a model URI, or {"source": ..., "trained_through": ...}'


class _CandidateOperator(DecoratedOperator, RegisterCandidateOperator):  # type: ignore[misc]
    """Runs the function, then registers what it returns."""

    custom_operator_name = "@task.candidate"
    # the rendered fields that people see hold what the function has returned
    overwrite_rtif_after_execution = True
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *RegisterCandidateOperator.template_fields,
    )
    template_fields_renderers = {  # noqa: RUF012
        **DecoratedOperator.template_fields_renderers,
        **RegisterCandidateOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        model: Templated[str],
        trained_through: Templated[date | None] = None,
        tags: Templated[Mapping[str, str] | None] = None,
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
            model=model,
            source=SET_DURING_EXECUTION,
            trained_through=trained_through,
            tags=tags,
            **kwargs,
        )

    def step_fields(self) -> dict[str, Any]:
        """The candidate's fields; the function's arguments are not among them."""
        return own_fields(super().step_fields())

    def execute(self, context: Any) -> Any:
        """Train, then register.

        Raises:
            AirflowFailException: The function returned something else than a model's address.
        """
        returned = called(self, context)
        if isinstance(returned, str):
            returned = {"source": returned}
        if not isinstance(returned, Mapping) or not isinstance(returned.get("source"), str):
            raise AirflowFailException(
                f"{self.python_callable.__name__} returned {type(returned).__name__}, "
                f"@task.candidate wants {_RETURNS}"
            )
        unknown = sorted(set(returned) - {"source", "trained_through", "tags"})
        if unknown:
            raise AirflowFailException(
                f"{self.python_callable.__name__} returned the unknown key {unknown[0]!r}, "
                f"@task.candidate wants {_RETURNS}"
            )
        self.source = returned["source"]
        self.trained_through = returned.get("trained_through", self.trained_through)
        self.tags = returned.get("tags", self.tags)
        return RegisterCandidateOperator.execute(self, context)


def candidate_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """`@task.candidate(model="flights")`: register what a training task of your own returns.

    Args:
        python_callable: The function; returns a run id, a model URI, or
            `{"source": ..., "trained_through": ..., "tags": ...}`.
        kwargs: `model` (the registered model's name), `trained_through`, `tags`,
            `backbeat_conn_id`, and Airflow's own task arguments.

    Returns:
        The decorated task; its output is that of `RegisterCandidateOperator`.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_CandidateOperator, **kwargs
    )
