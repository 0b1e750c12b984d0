"""Bad batches at every door: a function, a step, the command. None of them is ever a pass."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from backbeat import Actor, Done, RunIdentity, embedded, run_step
from backbeat.drift import Profile, build_profile
from backbeat.drift.checking import check_batch
from backbeat.drift.rules import Rules
from backbeat.errors import BackbeatError, InvalidData
from backbeat.steps import DriftCheck

Make = Callable[..., Any]
ROWS = 4000
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
REFERENCE = "monitors/m/reference.json"


def good(rows: int = ROWS, seed: int = 1) -> dict[str, Any]:
    """An ordinary day."""
    random = np.random.default_rng(seed)
    seconds = random.integers(0, 3600, rows)
    return {
        "amount": pa.array(random.gamma(2.0, 3.0, rows)),
        "depot": pa.array(random.choice(["north", "south", "harbour"], rows)),
        "at": pa.array(
            [NOON + timedelta(seconds=int(s)) for s in seconds], pa.timestamp("s", "UTC")
        ),
    }


def changed(**columns: Any) -> pa.Table:
    """An ordinary day with some columns replaced; None takes one away."""
    found = {**good(seed=2), **columns}
    return pa.table({name: column for name, column in found.items() if column is not None})


def _half_infinite() -> pa.Array:
    values = good(seed=2)["amount"].to_numpy().copy()
    values[::2] = np.inf
    return pa.array(values)


ELSEWHERE = timezone(timedelta(hours=5))
CASES: dict[str, tuple[pa.Table, set[str]]] = {
    "ordinary": (changed(), {"stable"}),
    "empty": (changed().slice(0, 0), {"insufficient_data", "broken"}),
    "one row": (changed().slice(0, 1), {"insufficient_data"}),
    "all null": (changed(amount=pa.nulls(ROWS, pa.float64())), {"broken"}),
    "all equal": (changed(amount=pa.array([5.0] * ROWS)), {"drifted", "broken"}),
    "infinities": (changed(amount=_half_infinite()), {"drifted", "broken"}),
    "numbers as text": (changed(amount=pa.array(["?"] * ROWS)), {"broken"}),
    "mixed types": (changed(amount=pa.array(["1.5", "x"] * (ROWS // 2))), {"broken"}),
    "a column gone": (changed(depot=None), {"broken"}),
    "a column new": (changed(extra=pa.array(range(ROWS))), {"stable"}),
    "the same moments in another time zone": (
        changed(at=good(seed=2)["at"].cast(pa.timestamp("s", "Asia/Karachi"))),
        {"stable"},
    ),
    "local times without a zone": (
        changed(at=good(seed=2)["at"].cast(pa.timestamp("s"))),
        {"broken"},
    ),
    "the moments of another time zone": (
        changed(at=pa.array([NOON.astimezone(ELSEWHERE) + timedelta(hours=5)] * ROWS)),
        {"drifted", "broken"},
    ),
    "identifiers for categories": (
        changed(depot=pa.array([f"id {number}" for number in range(ROWS)])),
        {"drifted", "broken"},
    ),
}


@pytest.fixture
def home(folder: Path) -> Path:
    """A platform with a reference made of an ordinary day."""
    profile = build_profile(ds.dataset(pa.table(good(20_000))), partition="2024-04-30")
    path = folder / "store" / REFERENCE
    path.parent.mkdir(parents=True)
    path.write_bytes(profile.to_bytes())
    return folder


def by_function(home: Path, table: pa.Table) -> str:
    """`check_batch`, with nothing but rows and a profile."""
    reference = Profile.from_bytes((home / "store" / REFERENCE).read_bytes())
    return check_batch(ds.dataset(table), pinned=reference, rules=Rules()).decision.verdict


def by_step(home: Path, table: pa.Table) -> str:
    """A DriftCheck through the door, with a monitor."""
    pq.write_table(table, home / "store" / "day.parquet")
    step = DriftCheck(
        current={"uri": "day.parquet"},
        reference=REFERENCE,
        monitor="monitors/m",
        partition="2024-05-01",
    )
    identity = RunIdentity(workflow="w", run="r", task="t", actor=Actor(id="ana", method="python"))
    outcome = run_step(step, identity, embedded(home))
    assert isinstance(outcome, Done)
    return str(outcome.value["verdict"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("door", [by_function, by_step])
def test_a_bad_batch_is_never_stable(
    home: Path, door: Callable[[Path, pa.Table], str], case: str
) -> None:
    """The same verdict in a function and in a step."""
    table, verdicts = CASES[case]
    assert door(home, table) in verdicts


@pytest.mark.parametrize("case", CASES)
def test_a_bad_batch_ends_the_command_with_1(home: Path, backbeat: Make, case: str) -> None:
    """And an ordinary one with 0."""
    table, verdicts = CASES[case]
    pq.write_table(table, home / "store" / "day.parquet")
    told = backbeat("drift", "check", "day.parquet", "--reference", REFERENCE, "--json")
    assert told.json["verdict"] in verdicts
    assert told.code == (0 if verdicts == {"stable"} else 1)


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_truncated, ""),
        (lambda _: b"", ""),
        (lambda _: b"[]", ""),
        (lambda content: content.replace(b'"version":2', b'"version":9'), "version"),
        (lambda content: content.replace(b"backbeat.profile", b"other.profile"), ""),
    ],
)
def test_a_profile_that_is_none_is_an_error_at_every_door(
    home: Path, backbeat: Make, damage: Callable[[bytes], bytes], says: str
) -> None:
    """Truncated, empty, foreign or of another version: refused, and nothing is written."""
    path = home / "store" / REFERENCE
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    with pytest.raises(InvalidData, match=says):
        by_function(home, changed())
    with pytest.raises(BackbeatError, match=says):
        by_step(home, changed())
    told = backbeat("drift", "check", "day.parquet", "--reference", REFERENCE)
    assert told.code == 6
    assert "Traceback" not in told.err
    assert sorted(file.name for file in (home / "store").rglob("*.json")) == ["reference.json"]
