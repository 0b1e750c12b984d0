"""The options that put a platform, or an orchestrator itself, on other services."""

from __future__ import annotations

import argparse

__all__ = ["add_platform_options", "platform_settings"]


def add_platform_options(parser: argparse.ArgumentParser) -> None:
    """Add `--ledger`, `--tracking-uri`, `--store`, `--database` and `--retries`."""
    parser.add_argument("--ledger", default="", help="postgresql://…, instead of DIR/ledger.db")
    parser.add_argument("--tracking-uri", default="", help="MLflow, instead of DIR/mlflow.db")
    parser.add_argument("--store", default="", help="s3://…, instead of DIR/store")
    parser.add_argument("--database", default="", help="the orchestrator's own database")
    parser.add_argument("--retries", type=int, default=2, help="of a task or run, 2 if not said")


def platform_settings(given: argparse.Namespace) -> dict[str, str]:
    """The platform's settings beside its folder, by the names of `backbeat.wiring.SETTINGS`."""
    names = ("ledger", "tracking_uri", "store")
    return {name: getattr(given, name) for name in names if getattr(given, name)}
