"""Small drawings of two distributions as inline SVG; colours come from the page's CSS classes."""

from __future__ import annotations

from html import escape

from backbeat.drift._bins import Bin, category_bins, equal_width_bins
from backbeat.drift._columns import CategoricalColumn, Column, NumericColumn

__all__ = ["chart"]

_WIDTH = 360
_PLOT_TOP = 16
_PLOT_HEIGHT = 118
_ROW = 26
_LABEL = 118
_CATEGORIES_SHOWN = 10
_LABEL_LETTERS = 18
_TICKS = 3


def chart(name: str, reference: Column, current: Column) -> str:
    """Both sides' shares as one SVG, or nothing where they cannot be drawn together.

    Args:
        name: The column, for the accessible title.
        reference: The reference's counts.
        current: The batch's counts on the same edges.
    """
    if not reference.present or not current.present:
        return ""
    if isinstance(reference, NumericColumn) and isinstance(current, NumericColumn):
        return _histogram(name, equal_width_bins(reference, current))
    if isinstance(reference, CategoricalColumn) and isinstance(current, CategoricalColumn):
        return _bars(name, _largest(category_bins(reference, current)))
    return ""


def _histogram(name: str, bins: list[Bin]) -> str:
    top = max(max(piece.reference, piece.current) for piece in bins) or 1.0
    slot = _WIDTH / len(bins)
    floor = _PLOT_TOP + _PLOT_HEIGHT

    def y(share: float) -> float:
        return floor - share / top * _PLOT_HEIGHT

    areas, steps, tips = [], [], []
    for at, piece in enumerate(bins):
        left, right = at * slot, (at + 1) * slot
        height = floor - y(piece.reference)
        areas.append(
            f'<rect class="ref" x="{left + 0.5:.1f}" y="{y(piece.reference):.1f}" '
            f'width="{slot - 1:.1f}" height="{height:.1f}"/>'
        )
        steps.append(f"{left:.1f},{y(piece.current):.1f} {right:.1f},{y(piece.current):.1f}")
        tips.append(
            f'<rect class="tip" x="{left:.1f}" y="{_PLOT_TOP}" width="{slot:.1f}" '
            f'height="{_PLOT_HEIGHT}"><title>{_said(piece)}</title></rect>'
        )
    body = (
        f'<text class="axis" x="0" y="10">{top:.0%} of values</text>'
        f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{_PLOT_TOP}" y2="{_PLOT_TOP}"/>'
        + "".join(areas)
        + f'<polyline class="cur" points="0,{floor} {" ".join(steps)} {_WIDTH},{floor}"/>'
        + f'<line class="base" x1="0" x2="{_WIDTH}" y1="{floor}" y2="{floor}"/>'
        + _ticks(bins, slot, floor + 15)
        + "".join(tips)
    )
    return _svg(name, floor + 20, body)


def _ticks(bins: list[Bin], slot: float, y: float) -> str:
    places = sorted({0, len(bins) // 2, len(bins) - 1})
    marks = []
    for place in places:
        first, last = place == 0, place == len(bins) - 1
        anchor = "start" if first else "end" if last else "middle"
        x = 0.0 if first else _WIDTH if last else (place + 0.5) * slot
        label = bins[place].label
        if len(places) == _TICKS and " to " in label:
            label = label.split(" to ")[-1 if last else 0]
        marks.append(
            f'<text class="axis" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    return "".join(marks)


def _bars(name: str, bins: list[Bin]) -> str:
    top = max(max(piece.reference, piece.current) for piece in bins) or 1.0
    room = _WIDTH - _LABEL - 44
    rows = []
    for at, piece in enumerate(bins):
        y = at * _ROW + 2
        one, two = piece.reference / top * room, piece.current / top * room
        rows.append(
            f"<g><title>{_said(piece)}</title>"
            f'<text class="name" x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">'
            f"{escape(_short(piece.label))}</text>"
            f'<rect class="ref" x="{_LABEL}" y="{y}" width="{max(one, 0.5):.1f}" height="9"/>'
            f'<rect class="bar" x="{_LABEL}" y="{y + 10}" width="{max(two, 0.5):.1f}" height="9"/>'
            f'<text class="axis" x="{_LABEL + max(one, two) + 6:.1f}" y="{y + 14}">'
            f"{piece.current:.1%}</text></g>"
        )
    return _svg(name, len(bins) * _ROW + 2, "".join(rows))


def _largest(bins: list[Bin]) -> list[Bin]:
    ranked = sorted(bins, key=lambda piece: -max(piece.reference, piece.current))
    if len(ranked) <= _CATEGORIES_SHOWN:
        return ranked
    # what moved is why the column is shown: it is kept even where it is small
    moved = sorted(ranked, key=lambda piece: -piece.moved)[: _CATEGORIES_SHOWN // 2]
    shown = (moved + [piece for piece in ranked if piece not in moved])[:_CATEGORIES_SHOWN]
    rest = [piece for piece in ranked if piece not in shown]
    reference = sum(piece.reference for piece in rest)
    current = sum(piece.current for piece in rest)
    label = f"{len(rest)} more"
    shown.sort(key=lambda piece: -max(piece.reference, piece.current))
    return [*shown, Bin(label, None, None, None, reference, current)]


def _said(piece: Bin) -> str:
    return escape(f"{piece.label}: reference {piece.reference:.1%}, current {piece.current:.1%}")


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_LETTERS else label[: _LABEL_LETTERS - 1] + "…"


def _svg(name: str, height: float, body: str) -> str:
    title = escape(f"Distribution of {name}: reference and current", quote=True)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{title}">'
        f"<title>{title}</title>{body}</svg>"
    )
