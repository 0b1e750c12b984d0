"""An alert: what was found, in words that a person can act on and no channel obeys."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbeat.canonical import digest
from backbeat.identity import RunIdentity
from backbeat.step import Blocked, Done, Outcome
from backbeat.telemetry import redact

__all__ = ["Alert", "alert_of"]

_BAD = {"drifted": "drift", "broken": "broken data"}
_SHOWN = 5
_LONGEST_NAME = 80
_LONGEST_REASON = 240
# what Slack, Teams or Markdown would make a mention or a link of
_OBEYED = str.maketrans({"<": "‹", ">": "›", "@": "＠", "[": "(", "]": ")", "`": "'", "|": "/"})  # noqa: RUF001


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What people are told.

    Args:
        title: One line.
        text: Some lines: what moved and why, where the report is, how to mute.
        kind: The step's versioned kind.
        verdict: `drifted`, `broken`, or `failed` for data that breaks its expectations.
        severity: `low`, `medium`, `high`, or `critical`.
        columns: The columns that it is about, the worst first.
        cause: A digest: the same cause has the same one.
        workflow: DAG or job.
        run: The workflow run.
        task: Task id or asset key.
        partition: The batch; empty where it has no name.
        report: Address of the report; empty where there is none.
    """

    title: str
    text: str
    kind: str
    verdict: str
    severity: str
    columns: tuple[str, ...]
    cause: str
    workflow: str
    run: str
    task: str
    partition: str = ""
    report: str = ""


def alert_of(
    kind: str,
    outcome: Outcome,
    *,
    identity: RunIdentity,
    monitor: str = "",
    partition: str = "",
    report: str = "",
) -> Alert | None:
    """What is to be told about an outcome; None where that is nothing.

    Columns that people have muted are no alert, and neither is too little data.

    Args:
        kind: The step's versioned kind.
        outcome: How it ended.
        identity: The attempt.
        monitor: The step's monitor, for the words on how to mute.
        partition: The batch's name; the attempt's partition where empty.
        report: Address of the report.
    """
    found = _quality(outcome) if kind.startswith("quality.") else _drift(outcome)
    if found is None:
        return None
    verdict, severity, columns, lines, cause = found
    batch = partition or identity.partition or ""
    what = _BAD.get(verdict, "data that breaks its expectations")
    named = ", ".join(map(_plain, columns[:_SHOWN])) or "the whole batch"
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    where = f"{identity.workflow}.{identity.task}" + (f", {_plain(batch)}" if batch else "")
    text = [f"{what.capitalize()} in {where} ({severity}).", *lines]
    if report:
        text.append(f"Report: {redact(report)}")
    if monitor and columns:
        text.append(
            f"To mute: backbeat drift mute {monitor} {_plain(columns[0])} --until DAY --reason WHY"
        )
    return Alert(
        title=f"{what.capitalize()} in {where}: {named}{more}",
        text="\n".join(text),
        kind=kind,
        verdict=verdict,
        severity=severity,
        columns=tuple(map(_plain, columns)),
        cause=cause,
        workflow=identity.workflow,
        run=identity.run,
        task=identity.task,
        partition=batch,
        report=report,
    )


_Found = tuple[str, str, Sequence[str], list[str], str]


def _drift(outcome: Outcome) -> _Found | None:
    if not isinstance(outcome, Done) or outcome.value.get("verdict") not in _BAD:
        return None
    value = outcome.value
    columns = value.get("alarms", value.get("columns", value.get("worse", [])))
    if not columns and "alarms" in value and value["verdict"] == "drifted":
        return None
    reasons = {
        column["name"]: column.get("reason", "")
        for column in outcome.evidence.get("decision", {}).get("columns", [])
    }
    lines = [_line(name, reasons.get(name, "")) for name in columns[:_SHOWN]]
    if value.get("reason"):
        lines.insert(0, _plain(str(value["reason"]), _LONGEST_REASON))
    severity = value.get("severity") or ("high" if value["verdict"] == "broken" else "medium")
    cause = value.get("cause") or digest([value["verdict"], sorted(columns)])
    return str(value["verdict"]), str(severity), columns, lines, str(cause)


def _quality(outcome: Outcome) -> _Found | None:
    if isinstance(outcome, Done) and outcome.value.get("success", True):
        return None
    evidence: Mapping[str, Any] = outcome.evidence if isinstance(outcome, (Done, Blocked)) else {}
    failed = evidence.get("failures", [])
    if not failed:
        return None
    columns = list(dict.fromkeys(item["column"] for item in failed if item.get("column")))
    lines = [
        _line(item.get("description") or item["type"], item.get("detail", ""))
        for item in failed[:_SHOWN]
    ]
    names = sorted(f"{item['type']} {item.get('column')}" for item in failed)
    severe = any(item.get("severity", "critical") == "critical" for item in failed)
    return "failed", "critical" if severe else "medium", columns, lines, digest(names)


def _line(name: str, reason: str) -> str:
    said = _plain(reason, _LONGEST_REASON)
    return f"- {_plain(name, _LONGEST_REASON)}: {said}" if said else f"- {_plain(name)}"


def _plain(text: str, longest: int = _LONGEST_NAME) -> str:
    """A text of the data's, on one line, without what a channel or a terminal obeys."""
    seen = "".join(
        " " if unicodedata.category(letter)[0] in "CZ" else letter for letter in redact(text)
    )
    line = " ".join(seen.translate(_OBEYED).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
