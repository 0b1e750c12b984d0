"""What all operators share: raw fields in, one step built after rendering, outcomes out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from airflow.sdk import Asset, BaseOperator

from backbeat.kinds import KINDS, step_class, step_from_fields
from backbeat.platform import Platform
from backbeat.step import Blocked, Done, Outcome, Waiting
from backbeat_provider.cleared import withdraw_earlier
from backbeat_provider.links import ReportLink, RunLink
from backbeat_provider.operators.literals import check_literals
from backbeat_provider.retry import final_error, retry_defaults

__all__ = ["StepOperator"]

_CONNECTION = "backbeat_conn_id"


class StepOperator(BaseOperator):  # type: ignore[misc]
    """Runs one step through `backbeat.run_step`.

    A subclass names the step's kind and writes its fields out as arguments and `template_fields`.
    It holds raw values: a step is frozen, and a template inside it would arrive unrendered.

    Args:
        backbeat_conn_id: Connection of type `backbeat`: the platform that the step runs on.
        notify: Notifiers that are handed the alert of a check that found something; see
            docs/alerts.md.
        kwargs: Airflow's own task arguments.

    Raises:
        InvalidStep: A literal field does not validate; raised while the DAG file is parsed.
    """

    step_kind: ClassVar[str]

    operator_extra_links = (RunLink(), ReportLink())
    ui_color = "#e8f0ea"

    def __init__(
        self,
        *,
        backbeat_conn_id: str = "backbeat_default",
        notify: Sequence[Callable[[Any], Any]] = (),
        **kwargs: Any,
    ) -> None:
        self.backbeat_conn_id = backbeat_conn_id
        self.notify = notify
        self.links: dict[str, str | None] = {}
        self._page = ""
        kwargs.setdefault("multiple_outputs", True)  # so that op.output["verdict"] is an XCom
        kwargs |= _retries_unless({*kwargs, *kwargs.get("default_args", {})})
        super().__init__(**kwargs)
        check_literals(self.step_kind, self.step_fields(), where=f"task {self.task_id!r}")

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Airflow's own, with backbeat's retries: it hands its empty defaults on to each task."""
        made = super().partial(**kwargs)
        dag = made.kwargs.get("dag")
        chosen = {name for name, value in made.kwargs.items() if value}
        made.kwargs |= _retries_unless({*chosen, *kwargs, *(dag.default_args if dag else ())})
        return made

    def step_fields(self) -> dict[str, Any]:
        """The step's fields as they are now; None is left to the field's own default."""
        found = {
            name: _without_kind(getattr(self, name))
            for name in self.template_fields
            if name != _CONNECTION
        }
        return {name: value for name, value in found.items() if value is not None}

    def execute(self, context: Any) -> dict[str, Any]:
        """Build the step from the rendered fields, run it, and translate its outcome.

        Raises:
            AirflowFailException: A gate said no, an error that a retry cannot help, or before
                Airflow 3.3 a retry budget that is spent.
            BackbeatError: An error that a retry can help; Airflow retries it.
            TaskDeferred: The step waits for people, without a worker slot.
        """
        return self._translated(lambda platform: self._asked(platform, context), context)

    def resume(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on where the step waited: from the ledger, never from re-rendered templates.

        Args:
            context: The task's context.
            event: What the trigger handed on: the `request_id`; or what Airflow says of an answer
                on the Required Actions page.

        Raises:
            AirflowFailException: As `execute`.
            TaskDeferred: The answer was one of several that it takes.
        """

        def perform(platform: Platform) -> Outcome:
            from backbeat.runner import resume_step
            from backbeat_provider.identity import run_identity

            request_id = event.get("request_id")
            if "chosen_options" in event:
                from backbeat_provider.required_actions import count_answer

                request_id = count_answer(platform, context, event) or request_id
            if request_id is None:
                # somebody else's answer, from a page that is not ours
                return self._asked(platform, context)
            return resume_step(request_id, platform, run=run_identity(context))

        return self._translated(perform, context)

    def _asked(self, platform: Platform, context: Any) -> Outcome:
        from backbeat.runner import run_step
        from backbeat_provider.identity import run_identity

        step = step_from_fields(step_class(self.step_kind), self.step_fields())
        return run_step(step, run_identity(context), platform)

    def _translated(self, perform: Callable[[Platform], Outcome], context: Any) -> dict[str, Any]:
        from backbeat_provider.hooks.backbeat import BackbeatHook

        try:
            platform = BackbeatHook(self.backbeat_conn_id).get_platform()
            outcome = perform(platform)
            if isinstance(outcome, Waiting) and not outcome.jobs:
                from backbeat_provider.required_actions import show

                withdraw_earlier(platform, context, outcome.request_id)
                self._page = show(platform, context, outcome.request_id)
        except AirflowException:
            raise  # in Airflow's own words already
        except Exception as error:
            final = final_error(error, context)
            if final is None:
                raise
            raise AirflowFailException(str(final)) from error
        if isinstance(outcome, Waiting):
            self._wait(outcome)
        if isinstance(outcome, Blocked):
            self._show(platform, outcome.evidence)
            self._tell(outcome, platform, context)
            raise AirflowFailException(f"{self.step_kind} is blocked: {outcome.reason}")
        assert isinstance(outcome, Done)  # noqa: S101 - the three outcomes are all there are
        self._show(platform, outcome.value)
        self._announce(outcome, context)
        self._tell(outcome, platform, context)
        return {**outcome.value, "kind": self.step_kind}

    def _wait(self, outcome: Waiting) -> None:
        from backbeat_provider.triggers.signoff import SignoffTrigger

        self.log.info("waiting for the sign-off %s until %s", outcome.request_id, outcome.until)
        self.defer(
            trigger=SignoffTrigger(outcome.request_id, self.backbeat_conn_id, page_of=self._page),
            method_name=self.resume.__name__,
        )

    def _tell(self, outcome: Outcome, platform: Platform, context: Any) -> None:
        if not self.notify:
            return
        from backbeat_provider.alerts import tell

        tell(
            self.notify,
            outcome,
            kind=self.step_kind,
            context=context,
            platform=platform,
            monitor=getattr(self, "monitor", None) or "",
            partition=getattr(self, "partition", None) or "",
            report=self.links["report"] or "",
        )

    def _show(self, platform: Platform, value: Mapping[str, Any]) -> None:
        report = value.get("report")
        self.links = {
            "run": value.get("link"),
            "report": platform.store.address(report) if report else None,
        }

    def _announce(self, outcome: Done, context: Any) -> None:
        facts = {"kind": self.step_kind}
        if outcome.outputs:
            facts |= {"uri": outcome.outputs[0].uri, "digest": outcome.outputs[0].digest}
        if "version" in outcome.value:
            facts["version"] = str(outcome.value["version"])
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra.update(facts)


def _retries_unless(given: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in retry_defaults().items() if name not in given}


def _without_kind(value: Any) -> Any:
    # another operator's whole output used as a field: its kind is the adapter's, not the step's
    if isinstance(value, Mapping) and value.get("kind") in KINDS:
        return {name: item for name, item in value.items() if name != "kind"}
    return value
