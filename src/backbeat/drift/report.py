"""The decision for people: one HTML file that needs nothing else, a short Markdown text, a PNG."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from backbeat.drift._fired import fired
from backbeat.drift._picture import report_png
from backbeat.drift._trend import limit_of, trend_of
from backbeat.drift._view import groups, rows, segments, stable
from backbeat.drift._wording import (
    SEVERITY,
    SIGN,
    WORD,
    compared,
    headline,
    limits,
    ordinal,
    p_value,
    share,
    shown,
)
from backbeat.drift.profile import Profile
from backbeat.drift.verdict import ColumnDrift, Decision

__all__ = ["report_html", "report_markdown", "report_png"]

_LISTED = 40
_LISTED_IN_TEXT = 20
_FINDINGS_IN_TEXT = 10
_FINDINGS_OF_A_COLUMN = 3
_TITLE_LETTERS = 200


def report_html(
    decision: Decision, reference: Profile, current: Profile, *, title: str, subtitle: str = ""
) -> str:
    """One self-contained HTML file: the verdict, what moved and by how much, and all columns.

    It loads nothing, runs no script, follows the reader's light or dark setting, fits a phone and
    can be read aloud. Names and categories come from the data: they are escaped, cut where they are
    long, and can neither hide nor turn the text around them.

    Args:
        decision: What `decide` returned.
        reference: The reference that it compared.
        current: The batch that it compared.
        title: The report's heading, such as the dataset's name.
        subtitle: A line under it, such as the model version.
    """
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(share=share, p=p_value, shown=shown, ordinal=ordinal)
    room = files("backbeat.drift")
    found = groups(decision, reference, current)
    page = environment.from_string(room.joinpath("report.html.j2").read_text(encoding="utf-8"))
    return page.render(
        decision=decision,
        title=shown(title, _TITLE_LETTERS),
        subtitle=shown(subtitle, _TITLE_LETTERS),
        sentence=headline(decision),
        against=compared(decision),
        style=room.joinpath("report.css").read_text(encoding="utf-8"),
        sign=SIGN,
        word=WORD,
        dots=SEVERITY,
        whole=fired(decision.findings, decision),
        groups=found,
        grid=segments(decision),
        rows=rows(decision, found),
        stable=stable(decision, reference, current),
        history=any(column.history for column in decision.columns),
        listed=_LISTED,
    ).lstrip()


def report_markdown(decision: Decision) -> str:
    """The verdict, the ranked columns and their history as a short Markdown text.

    The first 20 columns and the first 10 checks that fired are named.

    Args:
        decision: What `decide` returned.
    """
    severity = f", {decision.severity} severity" if decision.severity != "none" else ""
    verdict = f"{SIGN[decision.verdict]} {WORD[decision.verdict]}{severity}"
    lines = [
        f"**{verdict}** — {_plain(headline(decision))}",
        "",
        "| # | column | verdict | severity | effect | limit | missing | history |",
        "|--:|---|---|---|--:|--:|--:|---|",
        *(_row(column, decision) for column in decision.columns[:_LISTED_IN_TEXT]),
        "",
    ]
    hidden = len(decision.columns) - _LISTED_IN_TEXT
    if hidden > 0:
        lines += [f"…and {hidden} more.", ""]
    found = [
        *(f"- {text}" for text in _findings(decision)),
        *(
            f"- segment {_plain(shown(part.segment))}: {WORD[part.verdict]}, "
            f"{_plain(', '.join(shown(name) for name in part.columns[:_FINDINGS_IN_TEXT]))}"
            for part in decision.segments
            if part.verdict in ("drifted", "broken")
        ),
    ]
    if found:
        lines += [*found[:_FINDINGS_IN_TEXT], ""]
    batch = f" of {_plain(shown(decision.partition))}" if decision.partition else ""
    lines.append(
        f"{decision.current_rows:,} rows{batch} against {decision.reference_rows:,} of "
        f"{_plain(compared(decision))}; limits {limits(decision)}."
    )
    return "\n".join(lines)


def _row(column: ColumnDrift, decision: Decision) -> str:
    trend = trend_of(column, decision)
    muted = "" if column.muted_until is None else f", muted until {_plain(column.muted_until)}"
    cells = [
        str(column.rank),
        _plain(shown(column.name)),
        f"{SIGN[column.verdict]} {WORD[column.verdict]}{muted}",
        "" if column.severity == "none" else column.severity,
        "" if column.effect is None else f"{column.effect:.3f}",
        f"{limit_of(column, decision):.3f}",
        f"{_plain(share(column.reference_missing))} → {_plain(share(column.current_missing))}",
        "" if trend is None else trend.sparks,
    ]
    return f"| {' | '.join(cells)} |"


def _findings(decision: Decision) -> list[str]:
    named = [("the batch", check) for check in fired(decision.findings, decision)]
    for column in decision.columns:
        if column.alarming:
            found = fired(column.findings, decision, family=column.family)
            named += [(shown(column.name), check) for check in found[:_FINDINGS_OF_A_COLUMN]]
    return [
        _plain(" ".join(filter(None, (f"{name}: {check.sentence}", check.numbers))))
        for name, check in named
    ]


def _plain(text: str) -> str:
    """Untrusted text as Markdown that means nothing but itself."""
    line = re.sub(r"\s+", " ", escape(text, quote=False))
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", line)
