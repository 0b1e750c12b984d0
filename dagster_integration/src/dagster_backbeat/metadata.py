"""A step's Done as the metadata that a person wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from backbeat.platform import Platform
from backbeat.step import Blocked, Done
from dagster_backbeat.values import VALUE_KEY

__all__ = ["blocked_metadata", "done_metadata"]

Metadata = dict[str, Any]


def done_metadata(done: Done, platform: Platform, *, seconds: float) -> Metadata:
    """Value, links, report, effect table and numbers of one Done.

    Args:
        done: What the step ended with.
        platform: Knows where the store is, for the report's path.
        seconds: How long the step took.
    """
    shown: Metadata = {
        name: _shown(name, value, platform)
        for name, value in done.value.items()
        if value not in (None, [], "")
    }
    if "markdown" in done.evidence:
        shown["effects"] = dg.MetadataValue.md(str(done.evidence["markdown"]))
    if "difference" in done.value:
        shown["comparison"] = dg.MetadataValue.md(_comparison_table(done.value))
    if isinstance(done.value.get("rows"), int):
        shown["dagster/row_count"] = done.value["rows"]
    shown |= {name: value for name, value in done.metrics.items() if name not in shown}
    shown["seconds"] = round(seconds, 3)
    shown[VALUE_KEY] = dg.MetadataValue.json(done.value)
    return shown


def blocked_metadata(blocked: Blocked, platform: Platform) -> Metadata:
    """Why a gate said no, and what it saw."""
    shown: Metadata = {"reason": blocked.reason}
    for name in ("request_id", "decision", "by", "report", "failed", "rows"):
        value = blocked.evidence.get(name)
        if value not in (None, [], ""):
            shown[name] = _shown(name, value, platform)
    shown["evidence"] = dg.MetadataValue.json(blocked.evidence)
    return shown


def _shown(name: str, value: Any, platform: Platform) -> Any:
    if name == "link":
        return dg.MetadataValue.url(str(value))
    if name in {"report", "profile"}:
        return dg.MetadataValue.path(platform.store.address(str(value)))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return dg.MetadataValue.json(value) if isinstance(value, (list, Mapping)) else value


def _comparison_table(value: Mapping[str, Any]) -> str:
    def number(name: str) -> str:
        found = value.get(name)
        return "none" if found is None else f"{found:.5f}"

    interval = "none"
    if value.get("low") is not None:
        interval = f"{number('low')} to {number('high')}"
    return "\n".join(
        [
            f"| | version | {value.get('metric')} |",
            "|---|---|---|",
            f"| champion | {value.get('champion_version') or 'none'} | {number('champion')} |",
            f"| challenger | {value.get('challenger_version')} | {number('challenger')} |",
            f"| difference | | {number('difference')} ({interval}) |",
        ]
    )
