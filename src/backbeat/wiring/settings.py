"""What a platform can be told, by name: for connections, resources and the environment."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SETTINGS"]

# the connection form, `doctor` and the docs are made of this table
SETTINGS: Mapping[str, str] = {
    "folder": "The platform's folder: store, and whatever is not set below.",
    "ledger": "SQLite file of the ledger; `none` for rung 0. Default: <folder>/ledger.db.",
    "tracking_uri": "MLflow server or database; `none` for no registry. Default: in the folder.",
    "allow_pickle": "true lets models be unpickled, which runs code that they contain.",
    "namespace": "OpenLineage job namespace. Default: backbeat.",
}
