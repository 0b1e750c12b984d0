"""The connection of type `backbeat_model_endpoint`: a served model, and who we are to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from backbeat.errors import BackbeatError, InvalidStep

if TYPE_CHECKING:
    from backbeat.inference import InferenceClient

__all__ = ["ModelEndpointHook", "secrets_of"]


class ModelEndpointHook(BaseHook):  # type: ignore[misc]
    """A client for the model that a connection names.

    The extra's `address` is the model's. The password is the bearer, with a login that one's
    password; the extra holds anything else, see docs/inference.md.

    Args:
        model_conn_id: The connection.
    """

    conn_name_attr = "model_conn_id"
    default_conn_name = "backbeat_model_default"
    conn_type = "backbeat_model_endpoint"
    hook_name = "backbeat model endpoint"

    def __init__(self, model_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.model_conn_id = model_conn_id

    def get_conn(self) -> InferenceClient:
        """A client; close it, for instance by `async with`.

        Raises:
            InvalidStep: The connection has no address, or one that cannot be used.
            UnmetNeed: Its credentials are not whole.
        """
        return _client(self.get_connection(self.model_conn_id))

    async def aget_conn(self) -> InferenceClient:
        """The same from within an event loop."""
        return _client(await self.aget_connection(self.model_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the model can answer.

        Returns:
            Whether it can, and a sentence for people.
        """

        async def ask() -> bool:
            async with self.get_conn() as client:
                return await client.ready()

        try:
            ready = asyncio.run(ask())
        except BackbeatError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001 - the page shows a sentence, never a traceback
            return False, f"{type(error).__name__}: {error}"
        return ready, "the model can answer" if ready else "nobody there can answer for the model"

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The form's fields where Airflow does not read them from the provider info (3.1)."""
        from importlib import import_module

        forms = import_module("wtforms")
        return {"address": forms.StringField("Address")}

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Which of Airflow's own fields the form hides (3.1)."""
        return {"hidden_fields": ["host", "schema", "port"], "relabeling": {}, "placeholders": {}}


def secrets_of(connection: Any) -> dict[str, str]:
    """Who we are, as `backbeat.inference.connect` takes it."""
    extra = {name: str(value) for name, value in connection.extra_dejson.items()}
    extra.pop("address", None)
    if connection.login:
        return {**extra, "user": connection.login, "password": connection.password or ""}
    return {**extra, "bearer": connection.password} if connection.password else extra


def _client(connection: Any) -> InferenceClient:
    from backbeat.inference import connect

    address = connection.extra_dejson.get("address")
    if not address:
        raise InvalidStep(
            f"the connection {connection.conn_id!r} has no address",
            hint='write {"address": "oip+https://host/v2/models/churn"} into its extra',
        )
    return connect(str(address), secrets=secrets_of(connection))
