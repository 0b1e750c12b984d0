"""An alert: what was found, in words that a person can act on and no channel obeys."""

from __future__ import annotations

from dataclasses import dataclass

from backbeat.alerts.found import SHOWN, found_in
from backbeat.alerts.plain import command_word, plain
from backbeat.identity import RunIdentity
from backbeat.step import Outcome
from backbeat.telemetry import redact

__all__ = ["Alert", "alert_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What people are told.

    Args:
        title: One line.
        text: Some lines: what moved and why, where the report is, how to mute.
        kind: The step's versioned kind.
        verdict: `drifted`, `broken`, or `failed` for data that breaks its expectations.
        severity: `low`, `medium`, `high`, or `critical`.
        columns: The columns or metrics that it is about, the worst first.
        cause: A digest: the same cause has the same one.
        workflow: DAG or job.
        run: The workflow run.
        task: Task id or asset key.
        partition: The batch; empty where it has no name.
        report: Address of the report; empty where there is none.
        reference: Digest of the profile that the batch was held against; empty where it is none.
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
    reference: str = ""


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
    found = found_in(kind, outcome)
    if found is None:
        return None
    what = found.what[:1].upper() + found.what[1:]
    batch = partition or identity.partition or ""
    where = f"{identity.workflow}.{identity.task}" + (f", {plain(batch)}" if batch else "")
    columns = tuple(map(plain, found.columns))
    named = ", ".join(columns[:SHOWN]) or "the whole batch"
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    text = [f"{what} in {where} ({found.severity}).", *found.lines]
    report = redact(report)
    if report:
        text.append(f"Report: {report}")
    # only a drift check asks the marks of a monitor
    if monitor and columns and kind.startswith("drift.check/"):
        column = command_word(found.columns[0], otherwise="COLUMN")
        place = command_word(monitor, otherwise="MONITOR")
        text.append(f"To mute: backbeat drift mute {place} {column} --until DAY --reason WHY")
    return Alert(
        title=f"{what} in {where}: {named}{more}",
        text="\n".join(text),
        kind=kind,
        verdict=found.verdict,
        severity=found.severity,
        columns=columns,
        cause=found.cause,
        workflow=identity.workflow,
        run=identity.run,
        task=identity.task,
        partition=batch,
        report=report,
        reference=found.reference,
    )
