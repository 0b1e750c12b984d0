"""`@task.signoff`: the team's own function says what people are shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION

from backbeat.signoff.evidence import Evidence
from backbeat.signoff.form import Form
from backbeat.signoff.rules import Rules
from backbeat_provider.decorators.calling import called, own_fields
from backbeat_provider.operators.signoff import SignoffOperator
from backbeat_provider.operators.templated import Templated

__all__ = ["signoff_task"]


class _SignedOffOperator(DecoratedOperator, SignoffOperator):  # type: ignore[misc]
    """Runs the function, then asks people about what it returned."""

    custom_operator_name = "@task.signoff"
    # the rendered fields that people see hold what the function has returned
    overwrite_rtif_after_execution = True
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *SignoffOperator.template_fields,
    )
    template_fields_renderers = {  # noqa: RUF012
        **DecoratedOperator.template_fields_renderers,
        **SignoffOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        subject: Templated[str],
        about: Templated[Mapping[str, Any] | None] = None,
        approvers: Templated[Sequence[str]] = (),
        quorum: Templated[int] = 2,
        four_eyes: Templated[bool | None] = None,
        deadline: Templated[timedelta] = timedelta(days=3),
        default: Templated[Literal["approve", "reject"]] = "reject",
        rules: Templated[Rules | None] = None,
        shown: Templated[Evidence | None] = None,
        form: Templated[Form | None] = None,
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
            subject=subject,
            about=about,
            evidence=SET_DURING_EXECUTION,
            approvers=approvers,
            quorum=quorum,
            four_eyes=four_eyes,
            deadline=deadline,
            default=default,
            rules=rules,
            shown=shown,
            form=form,
            **kwargs,
        )

    def step_fields(self) -> dict[str, Any]:
        """The sign-off's fields; the function's arguments are not among them."""
        return own_fields(super().step_fields())

    def execute(self, context: Any) -> Any:
        """Gather the evidence, then ask.

        Raises:
            AirflowFailException: The function returned something else than named facts.
        """
        returned = called(self, context)
        if not isinstance(returned, Mapping) or not all(isinstance(name, str) for name in returned):
            raise AirflowFailException(
                f"{self.python_callable.__name__} returned {type(returned).__name__}, "
                "@task.signoff wants the evidence: a dict of names and JSON values"
            )
        self.evidence = dict(returned)
        return SignoffOperator.execute(self, context)


def signoff_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """`@task.signoff(subject="Promote?")`: ask people about what a function has gathered.

    Args:
        python_callable: The function; returns the evidence, a dict of names and JSON values.
        kwargs: `subject`, the other fields of `SignoffOperator` but `evidence`,
            `backbeat_conn_id`, and Airflow's own task arguments.

    Returns:
        The decorated task; its output is that of `SignoffOperator`.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_SignedOffOperator, **kwargs
    )
