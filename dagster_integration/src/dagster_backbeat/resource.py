"""`BackbeatResource`: the platform that a code location's steps run on."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import dagster as dg
from pydantic import Field

from backbeat.platform import Platform
from backbeat.wiring import SETTINGS, from_settings
from dagster_backbeat.sharing import refuse_unshared_launcher

__all__ = ["BackbeatResource"]


class BackbeatResource(dg.ConfigurableResource):  # type: ignore[misc]
    """Where steps keep their data, their record and their models; every field takes an `EnvVar`.

    A SQLite ledger or registry is refused where runs or steps share no disk: under Kubernetes,
    Celery, Docker, ECS and Dask.

    Args:
        folder: The platform's folder: store, and whatever is not set below.
        store: A bucket instead of `<folder>/store`: `s3://bucket/prefix`, `gs://`, `az://`, or what
            fsspec names.
        ledger: `postgresql://…` (many hosts), `https://…` (a ledger behind `backbeat serve`), or a
            SQLite file on a local disk of one host; `none` for rung 0.
        ledger_token: The token for a ledger behind `backbeat serve`, or the path of a file with it.
            Give it as an `EnvVar`: Dagster shows a literal in its pages.
        tracking_uri: MLflow server or database; `none` for no registry.
        allow_pickle: Whether models may be unpickled, which runs code that they contain.
        namespace: OpenLineage job namespace.
        lineage_url: An OpenLineage HTTP endpoint, where lineage is not to be files in the store.
        notify: Channels and routes of notifications: JSON, or the path of a file with it.
    """

    folder: str = Field(description=SETTINGS["folder"])
    store: str | None = Field(default=None, description=SETTINGS["store"])
    ledger: str | None = Field(default=None, description=SETTINGS["ledger"], repr=False)
    ledger_token: str | None = Field(default=None, description=SETTINGS["ledger_token"], repr=False)
    tracking_uri: str | None = Field(default=None, description=SETTINGS["tracking_uri"], repr=False)
    allow_pickle: bool = Field(default=False, description=SETTINGS["allow_pickle"])
    namespace: str = Field(default="backbeat", description=SETTINGS["namespace"])
    lineage_url: str | None = Field(default=None, description=SETTINGS["lineage_url"], repr=False)
    notify: str | None = Field(default=None, description=SETTINGS["notify"], repr=False)

    @property
    def settings(self) -> dict[str, Any]:
        """The platform's settings by name."""
        return {name: getattr(self, name) for name in SETTINGS}

    @property
    def platform(self) -> Platform:
        """The platform; building it does no input or output."""
        return _platform(tuple(self.settings.items()))

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Refuse what this instance's runs cannot share, before anything uses the platform.

        Raises:
            UnmetNeed: The ledger or the registry is a SQLite file, and runs share no disk.
        """
        if context.instance is not None:
            refuse_unshared_launcher(self.settings, context.instance)


# Dagster makes a resource anew for every run and every look of a sensor; one platform a process
# keeps its ledger open instead of opening it each time
@lru_cache(maxsize=16)
def _platform(settings: tuple[tuple[str, Any], ...]) -> Platform:
    return from_settings(dict(settings))
