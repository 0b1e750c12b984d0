"""SignoffSensor: go on once people have decided what another task, or a person, has asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    BaseSensorOperator,
)

from backbeat_provider.hooks.backbeat import DEFAULT_CONNECTION

__all__ = ["SignoffSensor"]


class SignoffSensor(BaseSensorOperator):  # type: ignore[misc]
    """Wait for a sign-off request that is asked elsewhere; a rejection fails the task.

    Args:
        request_id: The request, such as `{{ dag_run.conf['request_id'] }}`.
        backbeat_conn_id: Connection of type `backbeat`, whose ledger holds it.
        deferrable: Wait in the triggerer, which is usual; else as the sensor's `mode` says.
        kwargs: Airflow's own, such as `timeout` and `poke_interval`.

    Output: `request_id`, `decision`, `by`, `evidence_digest`, and what it is `about`.
    """

    template_fields: Sequence[str] = ("request_id", "backbeat_conn_id")
    ui_color = "#e8f0ea"

    def __init__(
        self,
        *,
        request_id: str,
        backbeat_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.request_id = request_id
        self.backbeat_conn_id = backbeat_conn_id
        self.deferrable = deferrable

    def execute(self, context: Any) -> Any:
        """Look once, then wait.

        Raises:
            AirflowFailException: It is rejected, or there is no such request.
            TaskDeferred: Nobody has decided yet.
        """
        if not self.deferrable:
            super().execute(context)
        if not self.deferrable or self.poke(context):
            return self._decision()
        from backbeat_provider.triggers.signoff import SignoffTrigger

        return self.defer(
            trigger=SignoffTrigger(self.request_id, self.backbeat_conn_id),
            method_name=self.resume.__name__,
            timeout=timedelta(seconds=self.timeout),
        )

    def poke(self, context: Any) -> bool:
        """Whether it is decided."""
        return self._state().decision is not None

    def resume(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on with what was decided, which the ledger says and not the trigger."""
        return self._decision()

    def _decision(self) -> dict[str, Any]:
        state = self._state()
        if state.decision is None:
            raise AirflowException(f"{self.request_id} is still open; a retry waits on")
        if state.decision.choice != "approve":
            raise AirflowFailException(
                f"{self.request_id} was rejected by {', '.join(state.decision.by)}"
            )
        return {
            "request_id": self.request_id,
            "decision": state.name,
            "by": list(state.decision.by),
            "evidence_digest": state.request.evidence_digest,
            **state.request.about,
        }

    def _state(self) -> Any:
        from backbeat.errors import BackbeatError
        from backbeat.signoff import read_request
        from backbeat_provider.hooks.backbeat import BackbeatHook

        try:
            platform = BackbeatHook(self.backbeat_conn_id).get_platform()
            return read_request(platform.ledger, self.request_id)
        except BackbeatError as error:
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error
