"""Drift: small mergeable profiles of data, and a decision over two of them.

A profile counts every value exactly on edges that are frozen once; a decision compares two
profiles on the same edges. Loaded when first used, as numpy and pyarrow are behind it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.drift.action import RetrainPolicy
    from backbeat.drift.decision import decide
    from backbeat.drift.past import PastBatch
    from backbeat.drift.profile import Profile, build_profile
    from backbeat.drift.report import report_html, report_markdown
    from backbeat.drift.rules import Rules
    from backbeat.drift.verdict import ColumnDrift, Decision

__all__ = [
    "ColumnDrift",
    "Decision",
    "PastBatch",
    "Profile",
    "RetrainPolicy",
    "Rules",
    "build_profile",
    "decide",
    "report_html",
    "report_markdown",
]

_HOMES = {
    "ColumnDrift": "backbeat.drift.verdict",
    "Decision": "backbeat.drift.verdict",
    "decide": "backbeat.drift.decision",
    "PastBatch": "backbeat.drift.past",
    "Profile": "backbeat.drift.profile",
    "RetrainPolicy": "backbeat.drift.action",
    "Rules": "backbeat.drift.rules",
    "build_profile": "backbeat.drift.profile",
    "report_html": "backbeat.drift.report",
    "report_markdown": "backbeat.drift.report",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.drift' has no attribute {name!r}")
