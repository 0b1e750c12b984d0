"""What an outcome says that people are to hear of: one reading for each kind of check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backbeat.alerts.plain import plain
from backbeat.canonical import digest
from backbeat.step import Blocked, Done, Outcome

__all__ = ["SHOWN", "Found", "found_in"]

SHOWN = 5
_BAD = {"drifted": "drift", "broken": "broken data"}
_SENTENCE_LETTERS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found, before it is about a task and a batch.

    Args:
        what: A few words.
        verdict: See `Alert`, as the fields below.
        severity: How bad it is.
        columns: As the data has them; they are not harmless yet.
        lines: Harmless sentences: what moved and why.
        cause: A digest.
        reference: A digest; empty where there is none.
    """

    what: str
    verdict: str
    severity: str
    columns: tuple[str, ...]
    lines: list[str]
    cause: str
    reference: str = ""


def found_in(kind: str, outcome: Outcome) -> Found | None:
    """What is to be told about an outcome; None where that is nothing.

    Args:
        kind: The step's versioned kind.
        outcome: How it ended.
    """
    if kind.startswith("quality."):
        return _quality(outcome)
    if not isinstance(outcome, Done) or outcome.value.get("verdict") not in _BAD:
        return None
    if kind.startswith("drift.performance"):
        return _performance(outcome.value)
    return _drift(outcome)


def _drift(done: Done) -> Found | None:
    value, decision = done.value, done.evidence.get("decision", {})
    verdict = str(value["verdict"])
    columns = tuple(value.get("alarms", value.get("columns", [])))
    if not columns and verdict == "drifted":
        return None
    judged = {column["name"]: column for column in decision.get("columns", [])}
    lines = [_line("the whole batch", item["sentence"]) for item in decision.get("findings", [])]
    for name in columns[:SHOWN]:
        column = judged.get(name, {})
        streak = column.get("streak", 0)
        since = f" ({streak} batches in a row)" if streak > 1 else ""
        lines.append(_line(name, column.get("reason", "")) + since)
    if value.get("action"):
        lines.append(f"Retraining: {plain(_action(value), _SENTENCE_LETTERS)}")
    reference = value.get("reference")
    return Found(
        what=_BAD[verdict],
        verdict=verdict,
        severity=value.get("severity") or ("high" if verdict == "broken" else "medium"),
        columns=columns,
        lines=lines,
        cause=value.get("cause") or digest([verdict, sorted(columns)]),
        reference=next((item.digest for item in done.inputs if item.uri == reference), None) or "",
    )


def _action(value: Mapping[str, Any]) -> str:
    return f"{value['action']}, {value.get('action_reason', '')}".rstrip(", ")


def _performance(value: Mapping[str, Any]) -> Found:
    worse = (*value.get("worse", ()), *value.get("slices", ()))
    model = plain(str(value.get("model", ""))) or "a model"
    how = "worse estimated" if value.get("estimated") else "worse"
    return Found(
        what=f"{how} performance of {model}",
        verdict=str(value["verdict"]),
        severity="medium",
        columns=worse,
        lines=[plain(str(value["reason"]), _SENTENCE_LETTERS)] if value.get("reason") else [],
        cause=digest([value["verdict"], sorted(worse)]),
    )


def _quality(outcome: Outcome) -> Found | None:
    if isinstance(outcome, Done) and outcome.value.get("success", True):
        return None
    evidence: Mapping[str, Any] = outcome.evidence if isinstance(outcome, (Done, Blocked)) else {}
    failed = evidence.get("failures", [])
    if not failed:
        return None
    severe = any(item.get("severity", "critical") == "critical" for item in failed)
    lines = [
        _line(item.get("description") or item["type"], item.get("detail", ""))
        for item in failed[:SHOWN]
    ]
    if len(failed) > SHOWN:
        lines.append(f"- and {len(failed) - SHOWN} more")
    return Found(
        what="data that breaks its expectations",
        verdict="failed",
        severity="critical" if severe else "medium",
        columns=tuple(dict.fromkeys(item["column"] for item in failed if item.get("column"))),
        lines=lines,
        cause=digest(sorted(f"{item['type']} {item.get('column')}" for item in failed)),
    )


def _line(name: str, reason: str) -> str:
    said = plain(reason, _SENTENCE_LETTERS)
    return f"- {plain(name, _SENTENCE_LETTERS)}: {said}" if said else f"- {plain(name)}"
