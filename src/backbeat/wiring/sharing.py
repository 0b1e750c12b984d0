"""What several hosts cannot share: a SQLite file, be it the ledger or MLflow's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbeat.errors import UnmetNeed

__all__ = ["refuse_unshared"]


def refuse_unshared(settings: Mapping[str, Any], *, launcher: str) -> None:
    """Refuse a platform whose parts would fall apart into one a host; without input or output.

    Each host would have a ledger of its own, where every claim succeeds, or a registry of its own,
    with another champion. That the hosts happen to be one today changes nothing: the launcher may
    move a task tomorrow, and a network disk does not hold SQLite's locks. The store's folder is not
    refused: a network disk holds it well.

    Args:
        settings: Flat settings, named as in `SETTINGS`; empty means the default.
        launcher: What starts workers on several hosts, for the message: `CeleryExecutor`, ...

    Raises:
        UnmetNeed: The ledger or the model registry is a SQLite file, said or by default.
    """
    folder = settings.get("folder") or "<folder>"
    ledger = str(settings.get("ledger") or f"{folder}/ledger.db")
    if ledger != "none" and _is_sqlite(ledger):
        raise UnmetNeed(
            f"{launcher} runs tasks on several hosts, which cannot share the SQLite ledger "
            f"{ledger}",
            hint="set `ledger` to postgresql://… (rung 2), to https://… of `backbeat serve` "
            "(rung 3), or to `none` for steps that need no record (rung 0)",
        )
    tracking = str(settings.get("tracking_uri") or f"sqlite:///{folder}/mlflow.db")
    if tracking.startswith(("sqlite:", "sqlite+")):
        raise UnmetNeed(
            f"{launcher} runs tasks on several hosts, which cannot share MLflow's SQLite file "
            f"{tracking.partition('///')[2]}",
            hint="set `tracking_uri` to an MLflow server or a PostgreSQL database, or to `none` "
            "for steps that need no model registry",
        )


def _is_sqlite(ledger: str) -> bool:
    return "://" not in ledger or ledger.startswith("sqlite:")
