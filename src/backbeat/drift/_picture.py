"""The decision as one PNG, for a chat message or a page that shows pictures only."""

from __future__ import annotations

import io
import textwrap
import warnings
from typing import Any

from backbeat.drift._bins import Bin, drawn_bins, tick_labels
from backbeat.drift._trend import Trend, limit_of, trend_of
from backbeat.drift._wording import (
    CHECK,
    SEVERITY,
    SIGN,
    WORD,
    compared,
    headline,
    limits,
    moved,
    share,
    shown,
)
from backbeat.drift.profile import Profile
from backbeat.drift.verdict import ColumnDrift, Decision
from backbeat.errors import UnmetNeed

__all__ = ["report_png"]

_COLUMNS = 6
_QUIET_COLUMNS = 3
_BARS = 6
_DPI = 120
_WIDTH, _HEAD, _ROW, _FOOT = 10.0, 1.15, 1.95, 0.4
_LINE = 0.23
_LETTERS, _LINES = 112, 3
_MARGIN = 0.12
_NEAR = 5
_INK, _SOFT, _RULE = "#1b2127", "#57626d", "#dde2e6"
_REF, _CUR, _BAND = "#a9cbe6", "#c44f00", "#e3ecf3"
_VERDICT = {
    "stable": "#0f6146",
    "drifted": "#8f3d00",
    "broken": "#9c1c2b",
    "insufficient_data": "#47515b",
}


def report_png(decision: Decision, reference: Profile, current: Profile) -> bytes:
    """One picture, 1200 pixels wide: the verdict, up to 6 columns, and their history.

    The columns are those that raise an alarm, else the first three. Equal input gives equal bytes
    with the same version of matplotlib.

    Args:
        decision: What `decide` returned.
        reference: The reference that it compared.
        current: The batch that it compared.

    Returns:
        The PNG file.

    Raises:
        UnmetNeed: matplotlib is not installed; installing it helps.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnmetNeed(
            "A drift report as a picture needs matplotlib, which is not installed.",
            hint='pip install "backbeat[report]"',
        ) from error
    columns = _chosen(decision)
    lines = textwrap.wrap(headline(decision), _LETTERS, max_lines=_LINES, placeholder=" …")
    head = _HEAD + _LINE * len(lines)
    height = head + _ROW * len(columns) + _FOOT
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    paper = _Paper(figure, height)
    _header(paper, decision, lines)
    for at, column in enumerate(columns):
        _column(paper, head + at * _ROW, column, decision, reference, current)
    hidden = len(decision.columns) - len(columns)
    rest = f"; {hidden} more columns" if hidden else ""
    paper.text(0.4, height - 0.2, f"Limits {limits(decision)}{rest}.", color=_SOFT, size=8.5)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # a letter that the font lacks becomes a box; it is no reason to alarm a task's log
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


class _Paper:
    """A figure that is written on in inches from its upper left corner."""

    def __init__(self, figure: Any, height: float) -> None:
        self.figure = figure
        self.height = height

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        # a name with dollar signs is no formula
        self.figure.text(x / _WIDTH, 1 - y / self.height, text, parse_math=False, **style)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        bottom = 1 - (y + height) / self.height
        axes = self.figure.add_axes(
            (x / _WIDTH, bottom, width / _WIDTH, height / self.height), frameon=False
        )
        axes.set_xticks([])
        axes.set_yticks([])
        return axes


def _chosen(decision: Decision) -> list[ColumnDrift]:
    alarming = [column for column in decision.columns if column.alarming]
    return alarming[:_COLUMNS] or list(decision.columns[:_QUIET_COLUMNS])


def _header(paper: _Paper, decision: Decision, lines: list[str]) -> None:
    color = _VERDICT[decision.verdict]
    severity = ""
    if decision.severity != "none":
        severity = f"    {SEVERITY[decision.severity]} {decision.severity} severity"
    verdict = f"{SIGN[decision.verdict]} {WORD[decision.verdict].capitalize()}{severity}"
    paper.text(0.4, 0.45, verdict, color=color, size=16, weight="bold")
    for at, line in enumerate(lines):
        paper.text(0.4, 0.74 + at * _LINE, line, color=_INK, size=10.5)
    batch = shown(decision.partition, 40) or "this batch"
    paper.text(
        0.4,
        0.78 + len(lines) * _LINE,
        f"{batch}, {decision.current_rows:,} rows, against {compared(decision)}, "
        f"{decision.reference_rows:,} rows.  Blue: reference.  Orange: this batch.",
        color=_SOFT,
        size=9,
    )


def _column(
    paper: _Paper,
    y: float,
    column: ColumnDrift,
    decision: Decision,
    reference: Profile,
    current: Profile,
) -> None:
    name = shown(column.name, 40)
    paper.text(0.4, y + 0.14, name, color=_INK, size=11, weight="bold")
    paper.text(
        5.35,
        y + 0.14,
        f"{SIGN[column.verdict]} {WORD[column.verdict]}{_why(column, decision)}",
        color=_VERDICT[column.verdict],
        size=9.5,
    )
    left = paper.axes(0.4, y + 0.25, 4.4, 1.3)
    old, new = reference.columns.get(column.name), current.columns.get(column.name)
    kind, bins = ("none", []) if old is None or new is None else drawn_bins(old, new)
    if kind == "bars":
        _bars(left, bins)
    elif kind == "steps":
        _steps(left, column.family, bins)
    else:
        _note(left, textwrap.fill(shown(column.reason, 160), 50))
    right = paper.axes(5.35, y + 0.25, 4.25, 1.3)
    trend = trend_of(column, decision)
    if trend is None:
        lines = (
            textwrap.fill(f"{shown(piece.label, 40)} {moved(piece.reference, piece.current)}", 58)
            for piece in column.moved
        )
        _note(right, "\n".join(lines) or "no history yet")
    else:
        _trend(right, trend)


def _why(column: ColumnDrift, decision: Decision) -> str:
    if column.fired == "missing":
        before, now = share(column.reference_missing), share(column.current_missing)
        return f"    missing {before} → {now}"
    checks = "" if column.fired in ("none", "distribution") else f": {CHECK[column.fired].lower()}"
    if column.effect is None:
        return checks
    return f"{checks}    effect {column.effect:.3f}, limit {limit_of(column, decision):.3f}"


def _steps(axes: Any, family: str, bins: list[Bin]) -> None:
    places = range(len(bins))
    axes.bar(places, [piece.reference for piece in bins], width=1.0, color=_REF)
    edges = [place - 0.5 for place in range(len(bins) + 1)]
    axes.stairs([piece.current for piece in bins], edges, color=_CUR, linewidth=1.6, baseline=0)
    axes.set_xlim(-0.5, len(bins) - 0.5)
    for place, label in tick_labels(family, bins):
        side = "left" if place < _MARGIN else "right" if place > 1 - _MARGIN else "center"
        _under(axes, place, shown(label, 20), side)


def _bars(axes: Any, bins: list[Bin]) -> None:
    ranked = sorted(bins, key=lambda piece: -piece.moved)[:_BARS]
    listed = [piece for piece in bins if piece in ranked]
    places = range(len(listed))
    axes.barh(places, [piece.reference for piece in listed], height=0.8, color=_REF)
    axes.barh(places, [piece.current for piece in listed], height=0.34, color=_CUR)
    top = max(max(piece.reference, piece.current) for piece in listed) or 1.0
    axes.set_xlim(-0.5 * top, 1.6 * top)
    axes.set_ylim(max(len(listed), 3) - 0.5, -0.5)
    for place, piece in zip(places, listed, strict=True):
        style = {"va": "center", "parse_math": False, "size": 8.5}
        axes.text(-0.03 * top, place, shown(piece.label, 14), ha="right", color=_INK, **style)
        numbers = f"{share(piece.reference)} → {share(piece.current)}"
        axes.text(1.6 * top, place, numbers, ha="right", color=_SOFT, **style)


def _trend(axes: Any, trend: Trend) -> None:
    last = len(trend.past)
    if trend.band is not None:
        axes.axhspan(0, trend.band, color=_BAND, linewidth=0)
    axes.axhline(trend.limit, color=_SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
    for run in trend.runs:
        places, values = zip(*run, strict=True)
        axes.plot(places, values, color=_SOFT, linewidth=1.2, marker="." if len(run) == 1 else None)
    past = [(at, trend.values[at]) for at in trend.alarms if at < last]
    axes.plot(
        [at for at, value in past if value is not None],
        [value for _, value in past if value is not None],
        linestyle="none",
        marker="D",
        markersize=4.5,
        markerfacecolor="white",
        markeredgecolor=_SOFT,
    )
    if trend.now is not None:
        axes.plot([last], [trend.now], marker="o", markersize=7, color=_CUR, clip_on=False)
        # above whatever the line does beside it
        near = [value for value in trend.values[-_NEAR:] if value is not None]
        axes.annotate(
            f"{trend.now:.3f}",
            (last, max(near)),
            (-6, 6),
            textcoords="offset points",
            ha="right",
            color=_INK,
            size=9,
            weight="bold",
        )
    axes.set_xlim(-0.5, last + 0.5)
    axes.set_ylim(0, trend.top * 1.15)
    named_at = trend.top if trend.beyond else trend.limit
    axes.annotate(
        trend.limit_words, (0, named_at), (2, 3), textcoords="offset points", color=_SOFT, size=8
    )
    first, now = trend.ends
    _under(axes, 0.0, first, "left")
    _under(axes, 1.0, now, "right")


def _under(axes: Any, x: float, text: str, side: str) -> None:
    axes.axhline(0, color=_SOFT, linewidth=0.8)
    axes.text(
        x,
        -0.05,
        text,
        transform=axes.transAxes,
        ha=side,
        va="top",
        color=_SOFT,
        size=8,
        parse_math=False,
    )


def _note(axes: Any, text: str) -> None:
    axes.text(
        0.0,
        0.95,
        text,
        transform=axes.transAxes,
        va="top",
        color=_SOFT,
        size=9,
        linespacing=1.6,
        parse_math=False,
    )
