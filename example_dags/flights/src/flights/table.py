"""The season as a table, a line a night, read from nothing but the ledger and the store.

`python -m flights.table FOLDER [PICTURE.svg]` prints it again for a season that was played.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from backbeat import Platform, embedded
from backbeat.canonical import digest
from backbeat.inference import read_scores
from backbeat.ports import RunRecord
from flights.season import SEASON, STORY, Night

__all__ = ["NightRow", "ledger_rows", "print_table", "unexpected"]

# names that MLflow or the ledger chose at random: everything else of a step is the same anywhere
_CHOSEN = {"source", "request_id"}
_WIDTH = 168


@dataclass(frozen=True)
class NightRow:
    """One night as the record tells it.

    Args:
        night: ISO day.
        story: The letter of the season's story.
        quality: `passed`, `stopped`, or `missing`.
        drift: The drift verdict, None where the night was stopped before it.
        columns: The columns that moved most.
        champion: The champion's metric on the comparison rows.
        challenger: The challenger's.
        interval: Difference with its bounds; above 0 the challenger is better.
        decision: `promoted`, `kept`, `not retrained`, `stopped`, or what went wrong.
        by: Who signed off.
        version: The champion that scored.
        rows: Rows in the output.
        unique: Distinct row keys in the output.
        attempts: Attempts that scoring took.
        reused: Shards that the last attempt found done.
        steps: Digests of the steps by kind, without names that a service chose.
        seconds: From the first step's start to the last one's end; or as the player measured.
    """

    night: str
    story: str
    quality: str = "missing"
    drift: str | None = None
    columns: tuple[str, ...] = ()
    champion: float | None = None
    challenger: float | None = None
    interval: tuple[float, float, float] | None = None
    decision: str = "not retrained"
    by: tuple[str, ...] = ()
    version: str | None = None
    rows: int = 0
    unique: int = 0
    attempts: int = 0
    reused: int = 0
    steps: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON data."""
        return asdict(self)


def ledger_rows(
    platform: Platform, *, seconds: Mapping[str, float] | None = None
) -> list[NightRow]:
    """Read the season's nights back from a platform.

    Args:
        platform: Whose ledger and store are read.
        seconds: Duration of each night by its ISO day, where the player measured it.
    """
    records: dict[str, dict[str, RunRecord]] = {}
    for record in platform.ledger.runs(limit=10_000):
        night = _night_of(record)
        kind = record.kind.partition("/")[0]
        # newest first: an earlier attempt of the same kind does not replace a later one
        records.setdefault(night, {}).setdefault(kind, record)
    return [
        _row(platform, night, records.get(night.day.isoformat(), {}), seconds or {})
        for night in SEASON
    ]


def unexpected(rows: list[NightRow]) -> list[str]:
    """What the season did not show although it should have; empty where all is well."""
    wrong = []
    for row in rows:
        expected = {
            "a": row.decision == "promoted" and row.drift == "no_reference",
            "b": row.decision == "not retrained" and row.drift == "stable",
            "c": row.decision == "promoted" and row.drift == "drifted",
            "d": row.decision == "kept" and row.drift == "drifted",
            "e": row.decision == "stopped" and row.quality == "stopped" and row.rows == 0,
            "f": row.attempts > 1 and row.reused > 0,
        }[row.story]
        if not expected:
            wrong.append(f"{row.night} should show {STORY[row.story]}, and shows {row.decision}")
        if row.story != "e" and (row.rows == 0 or row.rows != row.unique):
            wrong.append(f"{row.night} has {row.rows} rows with {row.unique} keys")
    return wrong


def print_table(rows: list[NightRow], *, title: str, picture: Path | None = None) -> None:
    """Draw the table for people.

    Args:
        rows: The nights.
        title: Said above it.
        picture: An SVG file to draw it to as well.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for name in ("night", "quality", "drift", "log loss: champion / challenger", "decision"):
        table.add_column(name, no_wrap=True)
    for name in ("version", "rows scored", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.night,
            row.quality,
            _drift_text(row),
            _comparison_text(row),
            _decision_text(row),
            row.version or "-",
            _scored_text(row),
            "-" if row.seconds is None else f"{row.seconds:.0f}",
        )
    console = Console(width=max(Console().width, _WIDTH), record=picture is not None)
    console.print(table)
    if picture is not None:
        drawn = console.export_svg(title="make demo")
        # a picture asks nobody else's server for a font
        picture.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


def _night_of(record: RunRecord) -> str:
    identity = record.identity
    return str(identity.get("partition") or str(identity.get("logical_time"))[:10])


def _row(
    platform: Platform, night: Night, found: dict[str, RunRecord], seconds: Mapping[str, float]
) -> NightRow:
    day = night.day.isoformat()
    values = {
        kind: (record.outcome or {}).get("value", {})
        for kind, record in found.items()
        if record.state == "done"
    }
    compared = values.get("model.compare", {})
    drift = values.get("drift.check", {})
    scored = values.get("inference.batch", {})
    rows, unique = _output(platform, night.day, found) if scored else (0, 0)
    scoring = found.get("inference.batch")
    interval = None
    if compared.get("difference") is not None:
        interval = (compared["difference"], compared["low"], compared["high"])
    quality = found.get("quality.check")
    return NightRow(
        night=day,
        story=night.story,
        quality={None: "missing", "done": "passed", "blocked": "stopped"}.get(
            quality.state if quality else None, "failed"
        ),
        drift=drift.get("verdict"),
        columns=tuple(drift.get("columns", ())),
        champion=compared.get("champion"),
        challenger=compared.get("challenger"),
        interval=interval,
        decision=_decision(found, values),
        by=tuple(values.get("model.promote", {}).get("by", ())),
        version=scored.get("version"),
        rows=rows,
        unique=unique,
        attempts=scoring.token if scoring else 0,
        reused=scored.get("reused", 0),
        steps={kind: _digest(record) for kind, record in sorted(found.items())},
        seconds=seconds.get(day) or _lasted(found),
    )


def _digest(record: RunRecord) -> str:
    return digest({name: item for name, item in record.step.items() if name not in _CHOSEN})


def _lasted(found: Mapping[str, RunRecord]) -> float | None:
    ends = [record.finished_at for record in found.values() if record.finished_at]
    if not ends:
        return None
    return (max(ends) - min(record.started_at for record in found.values())).total_seconds()


def _output(platform: Platform, day: date, found: dict[str, RunRecord]) -> tuple[int, int]:
    key = found["inference.batch"].step["key"][0]
    tomorrow = (day + timedelta(days=1)).isoformat()
    scores = read_scores(platform.store, f"scores/flights/{tomorrow}")
    return len(scores), len(scores[key].unique())


def _decision(found: Mapping[str, RunRecord], values: Mapping[str, Any]) -> str:
    if "quality.check" in found and found["quality.check"].state == "blocked":
        return "stopped"
    if "model.promote" in values:
        return "promoted"
    if "model.compare" in values:
        return "kept" if values["model.compare"]["verdict"] == "not_better" else "not promoted"
    failed = [kind for kind, record in found.items() if record.state != "done"]
    return f"failed at {failed[0]}" if failed else "not retrained"


def _drift_text(row: NightRow) -> str:
    if row.drift is None:
        return "-"
    return f"{row.drift}: {', '.join(row.columns[:3])}" if row.columns else row.drift


def _comparison_text(row: NightRow) -> str:
    if row.challenger is None:
        return "-"
    if row.champion is None or row.interval is None:
        return f"no champion / {row.challenger:.4f}"
    difference, low, high = row.interval
    scores = f"{row.champion:.4f} / {row.challenger:.4f}"
    return f"{scores}  {difference:+.4f} [{low:+.4f}, {high:+.4f}]"


def _decision_text(row: NightRow) -> str:
    text = f"{row.decision} by {', '.join(row.by)}" if row.by else row.decision
    return f"{text}; worker killed, {row.attempts} attempts" if row.attempts > 1 else text


def _scored_text(row: NightRow) -> str:
    if not row.rows:
        return "-"
    once = "" if row.rows == row.unique else f" ({row.unique} distinct!)"
    return f"{row.rows}{once}"


if __name__ == "__main__":
    folder, *pictures = map(Path, sys.argv[1:])
    played = ledger_rows(embedded(folder))
    print_table(
        played,
        title=f"The season on {folder.name.capitalize()}",
        picture=next(iter(pictures), None),
    )
    sys.exit("\n".join(unexpected(played)) or None)
