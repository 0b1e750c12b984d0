"""The connection of type `backbeat`: which platform a task's step runs on."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from backbeat.errors import BackbeatError, UnmetNeed
from backbeat.platform import Platform
from backbeat.ports import Need
from backbeat.wiring import SETTINGS, from_environment, from_settings

__all__ = ["DEFAULT_CONNECTION", "BackbeatHook"]

DEFAULT_CONNECTION = "backbeat_default"


class BackbeatHook(BaseHook):  # type: ignore[misc]
    """Builds the platform that a connection describes.

    The connection's extra holds the settings of `backbeat.wiring`: `folder`, `ledger`,
    `tracking_uri`, `allow_pickle`, `namespace`.

    Args:
        backbeat_conn_id: The connection. Where `backbeat_default` does not exist, the environment's
            `BACKBEAT_*` is used, if it is set.
    """

    conn_name_attr = "backbeat_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = "backbeat"
    hook_name = "backbeat"

    def __init__(self, backbeat_conn_id: str = DEFAULT_CONNECTION) -> None:
        super().__init__()
        self.backbeat_conn_id = backbeat_conn_id

    def get_platform(self) -> Platform:
        """The platform; nothing is opened before a step uses it.

        Raises:
            UnmetNeed: No connection and no environment, or a setting that does not exist.
        """
        try:
            connection = self.get_connection(self.backbeat_conn_id)
        except AirflowNotFoundException as error:
            return self._without_connection(error)
        return from_settings(connection.extra_dejson)

    async def aget_platform(self) -> Platform:
        """The platform, from within a triggerer's event loop.

        Raises:
            UnmetNeed: No connection and no environment, or a setting that does not exist.
        """
        try:
            connection = await self.aget_connection(self.backbeat_conn_id)
        except AirflowNotFoundException as error:
            return self._without_connection(error)
        return from_settings(connection.extra_dejson)

    def get_conn(self) -> Platform:
        """The platform, under the name that Airflow's hooks share."""
        return self.get_platform()

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the platform works: folder, ledger and registry are tried, nothing is kept.

        Returns:
            Whether all is well, and a sentence for people.
        """
        try:
            platform = self.get_platform()
            said = [_store_sentence(platform)]
            if Need.LEDGER in platform.offers:
                said.append(f"ledger schema {platform.ledger.check()['schema']}")
            else:
                said.append("no ledger (rung 0)")
            if Need.REGISTRY in platform.offers:
                said.append(platform.registry.ping())
        except BackbeatError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001 - the page shows a sentence, never a traceback
            return False, f"{type(error).__name__}: {error}"
        return True, "; ".join(said)

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The form's fields where Airflow does not read them from the provider info (3.1)."""
        forms = import_module("wtforms")
        return {
            name: (forms.BooleanField if name.startswith("allow_") else forms.StringField)(
                name.replace("_", " ").capitalize(), description=meaning
            )
            for name, meaning in SETTINGS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Which of Airflow's own fields the form hides (3.1)."""
        return {
            "hidden_fields": ["host", "schema", "login", "password", "port", "extra"],
            "relabeling": {},
            "placeholders": {},
        }

    def _without_connection(self, error: Exception) -> Platform:
        # a connection that was asked for by name is never replaced by something else
        if self.backbeat_conn_id == DEFAULT_CONNECTION and os.environ.get("BACKBEAT_FOLDER"):
            return from_environment()
        raise UnmetNeed(
            f"there is no Airflow connection {self.backbeat_conn_id!r}, "
            f"and {self._environment_sentence()}",
            hint="add a connection of type backbeat with a folder, or set BACKBEAT_FOLDER for "
            f"tasks that use {DEFAULT_CONNECTION}",
        ) from error

    def _environment_sentence(self) -> str:
        if self.backbeat_conn_id == DEFAULT_CONNECTION:
            return "BACKBEAT_FOLDER is not set either"
        return f"BACKBEAT_FOLDER only stands in for {DEFAULT_CONNECTION}"


def _store_sentence(platform: Platform) -> str:
    probe = f"probe-{uuid4().hex}"
    platform.store.write(probe, b"written by test_connection")
    platform.store.delete(probe)
    return f"{platform.description} can be written"
