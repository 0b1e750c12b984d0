"""`BackbeatResource`: the platform that a code location's steps run on."""

from __future__ import annotations

from functools import lru_cache

import dagster as dg
from pydantic import Field

from backbeat.platform import Platform
from backbeat.wiring import from_settings

__all__ = ["BackbeatResource"]


class BackbeatResource(dg.ConfigurableResource):  # type: ignore[misc]
    """Where steps keep their data, their record and their models; every field takes an `EnvVar`.

    Args:
        folder: The platform's folder: store, and whatever is not set below.
        ledger: SQLite file of the ledger, on a local disk of one host; `none` for rung 0.
        tracking_uri: MLflow server or database; `none` for no registry.
        allow_pickle: Whether models may be unpickled, which runs code that they contain.
        namespace: OpenLineage job namespace.
    """

    folder: str = Field(description="The platform's folder: store, and whatever is not set below.")
    ledger: str | None = Field(
        default=None,
        description="SQLite file of the ledger; `none` for rung 0. Default: <folder>/ledger.db.",
    )
    tracking_uri: str | None = Field(
        default=None,
        description="MLflow server or database; `none` for no registry. Default: in the folder.",
    )
    allow_pickle: bool = Field(
        default=False,
        description="Whether models may be unpickled, which runs code that they contain.",
    )
    namespace: str = Field(default="backbeat", description="OpenLineage job namespace.")

    @property
    def platform(self) -> Platform:
        """The platform; building it does no input or output."""
        return _platform(
            self.folder, self.ledger, self.tracking_uri, self.allow_pickle, self.namespace
        )


# Dagster makes a resource anew for every run and every look of a sensor; one platform a process
# keeps its ledger open instead of opening it each time
@lru_cache(maxsize=16)
def _platform(
    folder: str, ledger: str | None, tracking_uri: str | None, allow_pickle: bool, namespace: str
) -> Platform:
    return from_settings(
        {
            "folder": folder,
            "ledger": ledger,
            "tracking_uri": tracking_uri,
            "allow_pickle": str(allow_pickle).lower(),
            "namespace": namespace,
        }
    )
