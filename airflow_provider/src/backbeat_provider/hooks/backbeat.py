"""The connection of type `backbeat`: which platform a task's step runs on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from backbeat.errors import BackbeatError, UnmetNeed
from backbeat.platform import Platform
from backbeat.ports import Need
from backbeat.wiring import SETTINGS, from_settings, refuse_unshared, settings_from_environment
from backbeat.wiring.credentials import credentials_from_environment
from backbeat_provider.executors import spreading_executor
from backbeat_provider.hooks.model_endpoint import secrets_of

__all__ = ["DEFAULT_CONNECTION", "BackbeatHook"]

DEFAULT_CONNECTION = "backbeat_default"
_ELSEWHERE = "conn:"


class BackbeatHook(BaseHook):  # type: ignore[misc]
    """Builds the platform that a connection describes.

    The connection's extra holds the settings of `backbeat.wiring`: `folder`, `ledger`,
    `tracking_uri`, `allow_pickle`, ... A `ledger` of `conn:<id>` is the database of that connection
    of type postgres, so that its password is kept where Airflow keeps passwords.

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
        """The platform, one a process; nothing is opened before a step uses it.

        Raises:
            UnmetNeed: No connection and no environment, a setting that does not exist, or a SQLite
                file under an executor whose hosts cannot share it.
        """
        try:
            settings = self.get_connection(self.backbeat_conn_id).extra_dejson
        except AirflowNotFoundException as error:
            settings = self._without_connection(error)
        kept_in = _ledgers_connection(settings)
        if kept_in is not None:
            settings = {**settings, "ledger": _address(self.get_connection(kept_in))}
        return _shared(settings)

    async def aget_platform(self) -> Platform:
        """The platform, from within a triggerer's event loop; raises like `get_platform`."""
        try:
            settings = (await self.aget_connection(self.backbeat_conn_id)).extra_dejson
        except AirflowNotFoundException as error:
            settings = self._without_connection(error)
        kept_in = _ledgers_connection(settings)
        if kept_in is not None:
            settings = {**settings, "ledger": _address(await self.aget_connection(kept_in))}
        return _shared(settings)

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
        special = {"allow_pickle": forms.BooleanField, "ledger_token": forms.PasswordField}
        return {
            name: special.get(name, forms.StringField)(
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

    def _without_connection(self, error: Exception) -> Mapping[str, Any]:
        # a connection that was asked for by name is never replaced by something else
        if self.backbeat_conn_id == DEFAULT_CONNECTION and os.environ.get("BACKBEAT_FOLDER"):
            return settings_from_environment()
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


def _credentials(name: str) -> Mapping[str, str]:
    """Who we are to a model server: an Airflow connection, else the environment's."""
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return credentials_from_environment(name)
    return secrets_of(connection)


def _shared(settings: Mapping[str, Any]) -> Platform:
    given = {name: str(value) for name, value in settings.items() if value not in (None, "")}
    platform = _platform(tuple(sorted(given.items())))
    executor = spreading_executor()
    if executor is not None:
        refuse_unshared(settings, launcher=executor)
    return platform


# every task of `dag.test()` and every trigger of a triggerer asks: they share one ledger and its
# connections
@lru_cache(maxsize=16)
def _platform(settings: tuple[tuple[str, str], ...]) -> Platform:
    platform = from_settings(dict(settings))
    platform.credentials = _credentials
    return platform


def _ledgers_connection(settings: Mapping[str, Any]) -> str | None:
    ledger = str(settings.get("ledger") or "")
    return ledger.removeprefix(_ELSEWHERE) if ledger.startswith(_ELSEWHERE) else None


def _address(connection: Any) -> str:
    if connection.conn_type not in {"postgres", "postgresql"}:
        raise UnmetNeed(
            f"the connection {connection.conn_id!r} of type {connection.conn_type!r} is no ledger",
            hint=f"name a connection of type postgres after `{_ELSEWHERE}`",
        )
    from sqlalchemy.engine import URL

    # in Airflow the options of libpq (sslmode, sslrootcert, ...) are the connection's extra
    options = {name: str(value) for name, value in connection.extra_dejson.items()}
    host = connection.host or None
    if host and host.startswith("/"):  # a folder with a socket is no host name
        options["host"], host = host, None
    address = URL.create(
        "postgresql",
        username=connection.login or None,
        password=connection.password or None,
        host=host,
        port=connection.port or None,
        database=connection.schema or None,
        query=options,
    )
    return str(address.render_as_string(hide_password=False))


def _store_sentence(platform: Platform) -> str:
    probe = f"probe-{uuid4().hex}"
    platform.store.write(probe, b"written by test_connection")
    platform.store.delete(probe)
    return f"{platform.description} can be written"
