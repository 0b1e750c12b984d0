"""ModelReadySensor: go on once a model can answer, and not only its server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseSensorOperator

__all__ = ["ModelReadySensor"]


class ModelReadySensor(BaseSensorOperator):  # type: ignore[misc]
    """Wait until a served model can answer; without a worker slot where it defers.

    TorchServe's model is ready when it has a worker, KServe's when it has scaled up.

    Args:
        model_conn_id: A connection of type `backbeat_model_endpoint`.
        deferrable: Wait in the triggerer, which is usual; else as the sensor's `mode` says.
        kwargs: Airflow's own, such as `timeout` and `poke_interval`.
    """

    template_fields: Sequence[str] = ("model_conn_id",)
    ui_color = "#e8f0ea"

    def __init__(self, *, model_conn_id: str, deferrable: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_conn_id = model_conn_id
        self.deferrable = deferrable

    def execute(self, context: Any) -> Any:
        """Ask once, then wait.

        Raises:
            AirflowFailException: The server refuses to say; no retry helps.
            TaskDeferred: The model cannot answer yet.
        """
        if not self.deferrable:
            return super().execute(context)
        if self.poke(context):
            return None
        from backbeat_provider.triggers.model_ready import ModelReadyTrigger

        return self.defer(
            trigger=ModelReadyTrigger(self.model_conn_id, self.poke_interval),
            method_name=self.resume.__name__,
            timeout=timedelta(seconds=self.timeout),
        )

    def poke(self, context: Any) -> bool:
        """Whether the model can answer now."""
        import asyncio

        from backbeat.errors import FinalError
        from backbeat_provider.hooks.model_endpoint import ModelEndpointHook

        async def ask() -> bool:
            async with ModelEndpointHook(self.model_conn_id).get_conn() as client:
                return await client.ready()

        try:
            return asyncio.run(ask())
        except FinalError as error:
            raise AirflowFailException(str(error)) from error

    def resume(self, context: Any, event: Mapping[str, Any]) -> None:
        """Go on, or fail with what the trigger has met."""
        if event["error"]:
            raise AirflowFailException(event["error"])
