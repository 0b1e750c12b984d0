"""What a platform can be told, by name: for connections, resources and the environment."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SETTINGS"]

# the connection form, `doctor` and the docs are made of this table
SETTINGS: Mapping[str, str] = {
    "folder": "The platform's folder: store, and whatever is not set below.",
    "store": "A bucket instead of <folder>/store: s3://bucket/prefix, gs://, az://, or what fsspec "
    "names.",
    "ledger": "postgresql://… (many hosts), https://… (a ledger behind `backbeat serve`), or a "
    "SQLite file (one host); `none` for rung 0. Default: <folder>/ledger.db.",
    "ledger_token": "The token for a ledger behind `backbeat serve`, or the path of a file with "
    "it.",
    "tracking_uri": "MLflow server or database; `none` for no registry. Default: in the folder.",
    "allow_pickle": "true lets models be unpickled, which runs code that they contain.",
    "namespace": "OpenLineage job namespace. Default: backbeat.",
    "lineage_url": "An OpenLineage HTTP endpoint, its key in BACKBEAT_LINEAGE_API_KEY. Default: "
    "files under `lineage/` in the store.",
    "notify": "Channels and routes of notifications: JSON, or the path of a file with it. Default: "
    "nobody is notified.",
}
