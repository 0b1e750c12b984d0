"""What the page shows, in order: columns as cards, segments as a grid, the table's rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from backbeat.drift._charts import chart, missing_chart, spark, trend_chart
from backbeat.drift._facts import facts_of
from backbeat.drift._fired import Fired, fired, sentence
from backbeat.drift._trend import Trend, limit_of, trend_of
from backbeat.drift._wording import moved, share, shown
from backbeat.drift.profile import Profile
from backbeat.drift.verdict import ColumnDrift, Decision, SegmentDrift

__all__ = [
    "Card",
    "Group",
    "Row",
    "Segments",
    "groups",
    "rows",
    "segments",
    "stable",
]

_OPEN = 8
_DRAWN = 250
_GRID_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class Card:
    """A column with everything that is known about it.

    Args:
        column: What was found.
        id: Unique on the page.
        reason: Why the verdict, as a sentence.
        fired: The checks that fired.
        moved: Bins that moved: their name, and what became of it.
        facts: Rows of name, reference, batch.
        chart: SVG of both distributions, empty where there is none.
        missing: SVG of the shares of missing rows, where a check of them fired.
        trend: SVG of the history, likewise.
    """

    column: ColumnDrift
    id: str
    reason: str
    fired: tuple[Fired, ...]
    moved: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str, str], ...]
    chart: str
    missing: str
    trend: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Columns under one heading.

    Args:
        id: Unique on the page.
        heading: What they have in common.
        note: The same in a sentence, may be empty.
        open: The first ones.
        folded: The others, that are behind a click.
        left: How many more are in the table only.
    """

    id: str
    heading: str
    note: str
    open: tuple[Card, ...]
    folded: tuple[Card, ...]
    left: int

    @property
    def size(self) -> int:
        """How many columns there are."""
        return len(self.open) + len(self.folded) + self.left


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table of all columns.

    Args:
        column: What was found.
        limit: The effect from which it drifted.
        spark: SVG of the history, empty where there is none or a folded card has it.
        target: Id of the column's card, empty where it has none.
    """

    column: ColumnDrift
    limit: float
    spark: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Segments against the columns that moved in them.

    Args:
        columns: The columns that moved in most segments, at most eight.
        others: Whether other columns moved besides.
        rows: Each segment with its place per column, None where that did not move, and the other
            columns that moved.
    """

    columns: tuple[str, ...]
    others: bool
    rows: tuple[tuple[SegmentDrift, tuple[int | None, ...], tuple[str, ...]], ...]


def groups(decision: Decision, reference: Profile, current: Profile) -> tuple[Group, ...]:
    """The columns that need a look, then those that are muted, waiting or unsure, as cards."""
    places: dict[str, list[tuple[str, ColumnDrift]]] = {name: [] for name in _HEADINGS}
    for at, column in enumerate(decision.columns, start=1):
        place = _group(column)
        if place:
            places[place].append((f"c{at}", column))
    shown_groups = []
    room = _DRAWN
    for id_, found in places.items():
        cards = [
            _card(id_of, column, decision, reference, current, hover=at < _OPEN)
            for at, (id_of, column) in enumerate(found[:room])
        ]
        room -= len(cards)
        if found:
            heading, note = _HEADINGS[id_]
            shown_groups.append(
                Group(
                    id=id_,
                    heading=heading,
                    note=note,
                    open=tuple(cards[:_OPEN]),
                    folded=tuple(cards[_OPEN:]),
                    left=len(found) - len(cards),
                )
            )
    return tuple(shown_groups)


_HEADINGS = {
    "look": ("What needs a look", ""),
    "waiting": (
        "Moved, but no alarm",
        "A check fired, but not by enough or not yet for enough batches in a row to be drift.",
    ),
    "muted": (
        "Muted",
        "A person has muted these columns; they raise no alarm until the day shown.",
    ),
    "unsure": ("Too little data to tell", "These columns are no pass: nothing can be said yet."),
}


def stable(decision: Decision, reference: Profile, current: Profile) -> tuple[tuple[str, str], ...]:
    """Name and SVG of every column without a card, those with the largest effect first."""
    quiet = [column for column in decision.columns if not _group(column)][:_DRAWN]
    quiet.sort(key=lambda column: -(column.effect or 0.0))
    drawn = (
        (
            shown(column.name, 40),
            chart(
                column.name,
                reference.columns[column.name],
                current.columns[column.name],
                id_=f"s{at}",
                hover=False,
            ),
        )
        for at, column in enumerate(quiet)
        if column.name in reference.columns and column.name in current.columns
    )
    return tuple((name, svg) for name, svg in drawn if svg)


def rows(decision: Decision, shown_groups: tuple[Group, ...]) -> tuple[Row, ...]:
    """Every column, with a link to its card where it has one."""
    targets = {
        card.column.name: card.id for group in shown_groups for card in (*group.open, *group.folded)
    }
    folded = {card.column.name for group in shown_groups for card in group.folded}
    found = []
    for at, column in enumerate(decision.columns):
        drawn = at < _DRAWN and column.name not in folded
        trend = trend_of(column, decision) if drawn else None
        found.append(
            Row(
                column=column,
                limit=limit_of(column, decision),
                spark="" if trend is None else spark(trend),
                target=targets.get(column.name, ""),
            )
        )
    return tuple(found)


def segments(decision: Decision) -> Segments:
    """The grid of segments and the columns that moved in them."""
    often = Counter(name for segment in decision.segments for name in segment.columns)
    columns = tuple(name for name, _ in often.most_common(_GRID_COLUMNS))
    return Segments(
        columns=columns,
        others=len(often) > len(columns),
        rows=tuple(
            (
                segment,
                tuple(_place(segment, name) for name in columns),
                tuple(name for name in segment.columns if name not in columns),
            )
            for segment in decision.segments
        ),
    )


def _group(column: ColumnDrift) -> str:
    if column.muted_until is not None and column.verdict != "stable":
        return "muted"
    if column.alarming:
        return "look"
    if column.verdict == "insufficient_data":
        return "unsure"
    return "waiting" if column.findings else ""


def _place(segment: SegmentDrift, name: str) -> int | None:
    return segment.columns.index(name) + 1 if name in segment.columns else None


def _card(
    id_: str,
    column: ColumnDrift,
    decision: Decision,
    reference: Profile,
    current: Profile,
    *,
    hover: bool,
) -> Card:
    old, new = reference.columns.get(column.name), current.columns.get(column.name)
    drawn = lacking = ""
    facts: tuple[tuple[str, str, str], ...] = ()
    if old is not None and new is not None and column.fired != "schema":
        drawn = chart(column.name, old, new, id_=f"{id_}v", hover=hover)
        facts = facts_of(old, new)
    missing = (column.reference_missing, column.current_missing)
    if facts and any(missing):
        facts = (*facts, ("Missing", share(missing[0]), share(missing[1])))
    if column.fired == "missing" or any(item.check == "missing" for item in column.findings):
        lacking = missing_chart(column.name, *missing, id_=f"{id_}m")
    trend: Trend | None = trend_of(column, decision)
    return Card(
        column=column,
        id=id_,
        reason=sentence(column.reason),
        fired=fired(column.findings, decision, family=column.family, reason=column.reason),
        moved=tuple(
            (shown(piece.label, 40), moved(piece.reference, piece.current))
            for piece in column.moved
            if column.verdict != "insufficient_data"
        ),
        facts=facts,
        chart=drawn,
        missing=lacking,
        trend="" if trend is None else trend_chart(column.name, trend, id_=f"{id_}h"),
    )
