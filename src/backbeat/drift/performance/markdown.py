"""A check's metrics as a table that a person can read in an orchestrator's page."""

from __future__ import annotations

from collections.abc import Iterable

from backbeat.drift.performance.judgement import Judged
from backbeat.drift.performance.measured import Measured
from backbeat.drift.performance.result import Performance

__all__ = ["performance_markdown"]


def performance_markdown(performance: Performance) -> str:
    """The verdict, a row a metric, and the slices that drifted; an estimate says what it is."""
    judged = {item.metric: item for item in performance.judged}
    rows = [_row(name, item, judged.get(name)) for name, item in performance.metrics.items()]
    for part in performance.slices:
        if part.verdict == "drifted":
            by_name = {item.metric: item for item in part.judged}
            rows += [
                _row(f"{part.name}: {name}", item, by_name[name])
                for name, item in part.metrics.items()
                if name in by_name
            ]
    said = f"**{performance.verdict}** {performance.reason}".strip()
    return "\n\n".join(filter(None, [said, _table(rows), performance.cannot_see]))


def _table(rows: Iterable[str]) -> str:
    body = list(rows)
    if not body:
        return ""
    return "\n".join(
        ["| metric | value | interval | reference | |", "|---|---|---|---|---|", *body]
    )


def _row(name: str, item: Measured, judged: Judged | None) -> str:
    value = f"{item.value:.4g}" if item.value is not None else f"none: {item.reason}"
    ends = "" if item.low is None or item.high is None else f"{item.low:.4g} to {item.high:.4g}"
    reference = verdict = ""
    if judged is not None:
        verdict = judged.verdict
        reference = "" if judged.reference is None else f"{judged.reference:.4g}"
    # a slice's name is data: it must not draw columns of its own
    cells = (name.replace("|", "/"), value, ends, reference, verdict)
    return f"| {' | '.join(cells)} |"
