"""The decision for people: one HTML file that needs nothing else, and a short Markdown text."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from backbeat.drift._charts import chart
from backbeat.drift.profile import Profile
from backbeat.drift.verdict import ColumnDrift, Decision

__all__ = ["report_html", "report_markdown"]

_SIGN = {"stable": "✓", "drifted": "≠", "broken": "✕", "insufficient_data": "?"}
_WORD = {
    "stable": "stable",
    "drifted": "drifted",
    "broken": "broken",
    "insufficient_data": "insufficient data",
}
_LISTED = 20


def report_html(
    decision: Decision, reference: Profile, current: Profile, *, title: str, subtitle: str = ""
) -> str:
    """One self-contained HTML file: the verdict, the ranked columns, what moved and by how much.

    It loads nothing, runs no script, follows the reader's light or dark setting and fits a phone.
    Names and categories come from the data and are escaped.

    Args:
        decision: What `decide` returned.
        reference: The reference that it compared.
        current: The batch that it compared.
        title: The report's heading, such as the dataset's name.
        subtitle: A line under it, such as the partition and the model version.
    """
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["share"] = _share
    environment.filters["p"] = _p
    source = files("backbeat.drift").joinpath("report.html.j2").read_text(encoding="utf-8")
    charts = {
        column.name: chart(
            column.name, reference.columns[column.name], current.columns[column.name]
        )
        for column in decision.columns
        if column.fired != "schema" and column.verdict != "stable"
    }
    return environment.from_string(source).render(
        decision=decision,
        title=title,
        subtitle=subtitle,
        charts=charts,
        sign=_SIGN,
        word=_WORD,
        noticed=[column for column in decision.columns if column.verdict in ("broken", "drifted")],
        unsure=[column for column in decision.columns if column.verdict == "insufficient_data"],
    )


def report_markdown(decision: Decision) -> str:
    """The verdict and the ranked columns as a short Markdown text, the first 20 of them.

    Args:
        decision: What `decide` returned.
    """
    lines = [
        f"**{_SIGN[decision.verdict]} {_WORD[decision.verdict]}** — {_plain(decision.sentence)}",
        "",
        "| # | column | verdict | effect | adjusted p | missing |",
        "|--:|---|---|--:|--:|--:|",
        *(_row(column) for column in decision.columns[:_LISTED]),
        "",
    ]
    hidden = len(decision.columns) - _LISTED
    if hidden > 0:
        lines += [f"…and {hidden} more.", ""]
    calibrated = "calibrated" if decision.calibrated else "not calibrated against history"
    lines.append(
        f"{decision.current_rows:,} rows against {decision.reference_rows:,}; effect floor "
        f"{decision.effect_floor:g}, level {decision.q:g}, thresholds {calibrated}."
    )
    return "\n".join(lines)


def _row(column: ColumnDrift) -> str:
    cells = [
        str(column.rank),
        _plain(column.name),
        f"{_SIGN[column.verdict]} {_WORD[column.verdict]}",
        "" if column.effect is None else f"{column.effect:.3f}",
        _p(column.p_adjusted),
        f"{_share(column.reference_missing)} → {_share(column.current_missing)}",
    ]
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Untrusted text as Markdown that means nothing but itself."""
    shown = re.sub(r"\s+", " ", escape(text, quote=False))
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", shown)


def _share(value: float) -> str:
    if 0 < value < 0.0005:  # noqa: PLR2004  where 0.1% would round to nothing
        return "<0.1%"
    return f"{value:.1%}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "<1e-9" if value < 1e-9 else f"{value:.2g}"  # noqa: PLR2004  smaller says no more
