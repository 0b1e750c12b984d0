"""The embedded platform: everything in one folder, nothing to operate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbeat.platform import Platform
from backbeat.ports import Ledger, Policy, Registry, Sink, Store
from backbeat.wiring.credentials import credentials_from_environment
from backbeat.wiring.notices import notice_sinks

if TYPE_CHECKING:
    from backbeat.notify import Notifier

__all__ = ["embedded", "ledger_file", "registry_file"]


def embedded(
    folder: Path | str,
    *,
    store: str | None = None,
    ledger: bool | Path | str = True,
    ledger_token: str | None = None,
    registry: bool = True,
    tracking_uri: str | None = None,
    allow_pickle: bool = False,
    namespace: str = "backbeat",
    lineage_url: str | None = None,
    notify: str | Path | Mapping[str, Any] | None = None,
    notifiers: Mapping[str, Notifier] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Platform:
    """A platform in a folder: `store/`, `ledger.db`, and MLflow in `mlflow.db` with `artifacts/`.

    Nothing is created, opened or imported until a step uses it.

    Args:
        folder: The platform's folder.
        store: The store's address, where it is not `<folder>/store`: `s3://bucket/prefix`, ...
        ledger: False for rung 0, where nothing is recorded but files; or the ledger's address,
            where it is not `<folder>/ledger.db`: a file, `postgresql://…` or `https://…`.
        ledger_token: The token for a ledger at `https://…`, or the path of a file with it.
        registry: False where no model registry is wanted.
        tracking_uri: An MLflow server or database, where it is not `<folder>/mlflow.db`.
        allow_pickle: Whether models may be unpickled, which runs code that they contain.
        namespace: OpenLineage job namespace.
        lineage_url: An OpenLineage HTTP endpoint, where lineage is not to be files in the store.
        notify: Channels, routes and people for notifications: JSON, the path of a file with it, or
            as it is (`backbeat.notify.NotifySettings`).
        notifiers: The orchestrator's own channels by name, called with a `Notice`.
        progress: Told how far long work is: done, total, of what.
    """
    root = Path(folder).expanduser().absolute()

    def build_store() -> Store:
        from backbeat.data import open_store

        return open_store(store or root / "store")

    def build_ledger() -> Ledger:
        from backbeat.ledger import open_ledger

        address = ledger_file(root) if isinstance(ledger, bool) else ledger
        return open_ledger(address, token=ledger_token)

    def build_registry() -> Registry:
        from backbeat.registry import MlflowRegistry

        return MlflowRegistry(
            tracking_uri=tracking_uri or f"sqlite:///{registry_file(root)}",
            artifact_root=None if tracking_uri else (root / "artifacts").as_uri(),
            allow_pickle=allow_pickle,
        )

    def build_policy() -> Policy:
        from backbeat.policy import BuiltinPolicy

        return BuiltinPolicy()

    def build_unrecorded(sinks: Mapping[str, Sink]) -> Ledger:
        from backbeat.ledger.unrecorded import Unrecorded

        return Unrecorded(sinks)

    platform: Platform

    def build_sinks() -> Mapping[str, Sink]:
        from backbeat.lineage import FileSink

        told = notice_sinks(platform, notify, notifiers) if notify else {}
        if lineage_url:
            from backbeat.lineage import HttpSink

            return {"openlineage": HttpSink(lineage_url), **told}
        return {"openlineage": FileSink(platform.store, "lineage"), **told}

    platform = Platform(
        store=build_store,
        ledger=build_ledger if ledger is not False else None,
        registry=build_registry if registry else None,
        policy=build_policy,
        unrecorded=build_unrecorded,
        sinks=build_sinks,
        namespace=namespace,
        progress=progress,
        credentials=credentials_from_environment,
        description=f"the platform in {root}",
    )
    return platform


def ledger_file(folder: Path) -> Path:
    """Where a platform's own ledger lies."""
    return folder / "ledger.db"


def registry_file(folder: Path) -> Path:
    """Where a platform's own MLflow database lies."""
    return folder / "mlflow.db"
