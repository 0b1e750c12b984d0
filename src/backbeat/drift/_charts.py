"""Small drawings as inline SVG; colours come from the page's CSS classes, numbers stand beside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from backbeat.drift._bins import Bin, drawn_bins, tick_labels
from backbeat.drift._columns import Column
from backbeat.drift._trend import Trend
from backbeat.drift._wording import share, shown

__all__ = ["chart", "missing_chart", "spark", "trend_chart"]

_WIDTH = 360
_TOP = 18
_HEIGHT = 120
_ROW = 24
_LABEL = 112
_NUMBERS = 102
_LABEL_LETTERS = 13
_EDGE_LETTERS = 20
_MARGIN = 0.12
_HEADROOM = 1.08
_SPARK = (264, 60)
_SPARK_BATCHES = 30
_NEAR = 5


def chart(name: str, reference: Column, current: Column, *, id_: str, hover: bool = True) -> str:
    """Both sides' shares as one SVG, empty where they cannot be drawn together.

    The reference is what is filled, the batch is the line or the thin bar on it.

    Args:
        name: The column, for the accessible title.
        reference: The reference's counts.
        current: The batch's counts on the same edges.
        id_: Unique on the page.
        hover: Whether a bin says its numbers under the mouse; without it the drawing is smaller.
    """
    kind, bins = drawn_bins(reference, current)
    if kind == "none":
        return ""
    height, body = _bars(bins) if kind == "bars" else _steps(reference.family, bins, hover=hover)
    numbers = "; ".join(
        f"{shown(piece.label, 40)}: {share(piece.reference)}, {share(piece.current)}"
        for piece in bins
    )
    title = f"Distribution of {shown(name)}"
    return _svg(id_, title, f"Shares in the reference and in this batch. {numbers}.", height, body)


def missing_chart(name: str, reference: float, current: float, *, id_: str) -> str:
    """Both sides' shares of missing rows as one bar, out of all rows.

    Args:
        name: The column, for the accessible title.
        reference: Share of the reference's rows, 0 to 1.
        current: Share of the batch's rows, 0 to 1.
        id_: Unique on the page.
    """
    piece = Bin("missing", None, None, None, reference, current)
    height, body = _bars([piece], top=1.0)
    said = f"{share(reference)} of the reference's rows, {share(current)} of this batch's."
    return _svg(id_, f"Missing rows of {shown(name)}", said, height, body)


def trend_chart(name: str, trend: Trend, *, id_: str) -> str:
    """The history of a column's effect: the band, the limit, the line, and this batch's point.

    Args:
        name: The column, for the accessible title.
        trend: What to draw.
        id_: Unique on the page.
    """
    floor = _TOP + _HEIGHT
    scale = _HEIGHT / (trend.top * _HEADROOM)
    step = (_WIDTH - 12) / max(1, len(trend.past))

    def at(place: int, value: float) -> tuple[float, float]:
        return 6 + place * step, floor - value * scale

    parts = []
    if trend.band is not None:
        high = min(trend.band * scale, _HEIGHT)
        parts.append(
            f'<rect class="band" y="{floor - high:.1f}" width="{_WIDTH}" height="{high:.1f}"/>'
        )
    limit = _TOP if trend.beyond else floor - trend.limit * scale
    if not trend.beyond:
        parts.append(f'<path class="limit" d="M0,{limit:.1f}h{_WIDTH}"/>')
    parts.append(f'<path class="base" d="M0,{floor}h{_WIDTH}"/>')
    parts += [
        _polyline("past", [at(*point) for point in run]) for run in trend.runs if len(run) > 1
    ]
    parts += [
        _dot("lone", *at(*run[0]))
        for run in trend.runs
        if len(run) == 1 and run[0][0] != len(trend.past)
    ]
    for place in trend.alarms:
        value = trend.values[place]
        if value is not None and place < len(trend.past):
            x, y = at(place, value)
            parts.append(f'<path class="alarm" d="M{x:.1f},{y - 5:.1f}l5,5l-5,5l-5,-5z"/>')
    # a name under the line would sit in the data, one above it may leave the drawing
    above = limit - 5 if limit >= _TOP else limit + 14
    parts.append(f'<text y="{above:.1f}">{escape(trend.limit_words)}</text>')
    if trend.now is not None:
        x, y = at(len(trend.past), trend.now)
        parts.append(_dot("now", x, y, 5))
        # above whatever the line does beside it
        near = [value for value in trend.values[-_NEAR:] if value is not None]
        above = max(11.0, at(0, max(near))[1] - 10)
        parts.append(f'<text class="strong end" x="{x:.1f}" y="{above:.1f}">{trend.now:.3f}</text>')
    first, last = map(escape, trend.ends)
    parts.append(
        f'<text y="{floor + 16}">{first}</text>'
        f'<text class="end" x="{_WIDTH}" y="{floor + 16}">{last}</text>'
    )
    title = f"History of {shown(name)}"
    return _svg(id_, title, trend.said, floor + 22, "".join(parts))


def spark(trend: Trend) -> str:
    """The history's last batches as a line of a table row's height.

    Args:
        trend: What to draw.
    """
    trend = trend.last(_SPARK_BATCHES)
    width, height = _SPARK
    scale = (height - 20) / trend.top
    step = (width - 20) / max(1, len(trend.past))

    def at(place: int, value: float) -> tuple[float, float]:
        return 10 + place * step, height - 10 - value * scale

    limit = height - 10 - trend.limit * scale
    line = "" if trend.beyond else f'<path class="limit" d="M0,{limit:.0f}h{width}"/>'
    body = line + "".join(
        _polyline("past", [at(*point) for point in run]) for run in trend.runs if len(run) > 1
    )
    if trend.now is not None:
        body += _dot("now", *at(len(trend.past), trend.now), 9)
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(trend.short)}</title>{body}</svg>"
    )


def _steps(family: str, bins: list[Bin], *, hover: bool) -> tuple[float, str]:
    top = max(max(piece.reference, piece.current) for piece in bins) or 1.0
    slot, floor = _WIDTH / len(bins), _TOP + _HEIGHT

    def outline(shares: Sequence[float]) -> str:
        steps = (
            f"V{floor - side / top * _HEIGHT:.1f}H{(at + 1) * slot:.0f}"
            for at, side in enumerate(shares)
        )
        return f"M0,{floor}{''.join(steps)}V{floor}"

    tips = "".join(
        f'<rect class="tip" x="{at * slot:.0f}" y="{_TOP}" width="{slot:.0f}" '
        f'height="{_HEIGHT}"><title>{_said(piece)}</title></rect>'
        for at, piece in enumerate(bins)
        if hover
    )
    body = (
        f'<text y="11">{top:.0%} of values</text>'
        f'<path class="grid" d="M0,{_TOP}h{_WIDTH}"/>'
        f'<path class="ref" d="{outline([piece.reference for piece in bins])}"/>'
        f'<path class="cur" d="{outline([piece.current for piece in bins])}"/>'
        f'<path class="base" d="M0,{floor}h{_WIDTH}"/>'
        f"{_ticks(family, bins, floor + 16)}{tips}"
    )
    return floor + 22, body


def _ticks(family: str, bins: list[Bin], y: float) -> str:
    return "".join(
        f'<text class="{_anchor(place)}" x="{place * _WIDTH:.0f}" y="{y}">'
        f"{escape(shown(label, _EDGE_LETTERS))}</text>"
        for place, label in tick_labels(family, bins)
    )


def _anchor(place: float) -> str:
    return "start" if place < _MARGIN else "end" if place > 1 - _MARGIN else "middle"


def _bars(bins: list[Bin], top: float | None = None) -> tuple[float, str]:
    top = top or max(max(piece.reference, piece.current) for piece in bins) or 1.0
    room = _WIDTH - _LABEL - _NUMBERS
    wide = thin = texts = ""
    for at, piece in enumerate(bins):
        y = at * _ROW + 2
        one, two = (round(side / top * room, 1) for side in (piece.reference, piece.current))
        wide += f"M{_LABEL},{y + 10}h{one:g}" if one else ""
        thin += f"M{_LABEL},{y + 10}h{two:g}" if two else ""
        label = shown(piece.label, _LABEL_LETTERS)
        whole = f"<title>{_said(piece)}</title>" if label != piece.label else ""
        texts += (
            f'<text class="strong end" x="{_LABEL - 8}" y="{y + 14}">{escape(label)}{whole}</text>'
            f'<text class="end" x="{_WIDTH}" y="{y + 14}">'
            f"{escape(share(piece.reference))} → {escape(share(piece.current))}</text>"
        )
    body = f'<path class="wide" d="{wide}"/><path class="thin" d="{thin}"/>{texts}'
    return len(bins) * _ROW + 2, body


def _said(piece: Bin) -> str:
    return escape(
        f"{shown(piece.label, 40)}: reference {share(piece.reference)}, "
        f"this batch {share(piece.current)}"
    )


def _polyline(class_: str, points: Sequence[tuple[float, float]]) -> str:
    places = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return f'<polyline class="{class_}" points="{places}"/>'


def _dot(class_: str, x: float, y: float, radius: float = 2) -> str:
    return f'<circle class="{class_}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def _svg(id_: str, title: str, said: str, height: float, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-labelledby="{id_}t" aria-describedby="{id_}d">'
        f'<title id="{id_}t">{escape(title)}</title><desc id="{id_}d">{escape(said)}</desc>'
        f"{body}</svg>"
    )
