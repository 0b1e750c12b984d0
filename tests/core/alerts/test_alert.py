"""What people are told: when, in which words, and never twice for one cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backbeat.alerts import Alert, Told, alert_of
from backbeat.data import FolderStore
from backbeat.identity import Actor, RunIdentity
from backbeat.step import Blocked, Done

MONITOR = "monitors/parcels"
IDENTITY = RunIdentity(
    workflow="nightly", run="r1", task="drift", actor=Actor(id="airflow", method="airflow")
)


def drift(*columns: str, verdict: str = "drifted", **value: Any) -> Done:
    """A drift check's outcome."""
    return Done(
        value={"verdict": verdict, "alarms": list(columns), "cause": ",".join(columns), **value},
        evidence={"decision": {"columns": [{"name": n, "reason": "it moved"} for n in columns]}},
    )


def alert(outcome: Any, partition: str = "2024-05-01", kind: str = "drift.check/v1") -> Any:
    """Its alert."""
    return alert_of(
        kind,
        outcome,
        identity=IDENTITY,
        monitor=MONITOR,
        partition=partition,
        report="file:///srv/reports/1.html",
    )


def test_it_says_what_where_why_and_what_to_do() -> None:
    """A person who reads it at night needs no other page to know what happened."""
    found = alert(drift("distance_km", severity="high"))
    assert found.title == "Drift in nightly.drift, 2024-05-01: distance_km"
    assert found.text.splitlines() == [
        "Drift in nightly.drift, 2024-05-01 (high).",
        "- distance_km: it moved",
        "Report: file:///srv/reports/1.html",
        "To mute: backbeat drift mute monitors/parcels distance_km --until DAY --reason WHY",
    ]
    assert (found.severity, found.verdict, found.columns) == ("high", "drifted", ("distance_km",))


@pytest.mark.parametrize("verdict", ["stable", "insufficient_data", "no_reference"])
def test_nothing_is_told_where_nothing_was_found(verdict: str) -> None:
    """Too little data is no alert; the gate and the exit code say it."""
    assert alert(drift(verdict=verdict)) is None


def test_muted_columns_are_no_alert() -> None:
    """A column that moved and is muted is not among the alarms."""
    assert alert(Done(value={"verdict": "drifted", "columns": ["a"], "alarms": []})) is None


def test_performance_and_quality_have_alerts_too() -> None:
    """A worse model, and data that breaks its expectations, blocked or only reported."""
    worse = Done(value={"verdict": "drifted", "worse": ["roc_auc"], "reason": "it fell to 0.6"})
    assert "it fell to 0.6" in alert(worse, kind="drift.performance/v1").text
    failure = {
        "type": "expect_column_values_to_not_be_null",
        "column": "x",
        "severity": "critical",
        "description": "x is never null",
        "detail": "Unexpected: 3 of 10.",
    }
    evidence = {"failures": [failure]}
    for outcome in (
        Blocked(reason="1 failed", evidence=evidence),
        Done(value={"success": False}, evidence=evidence),
    ):
        found = alert(outcome, kind="quality.check/v1")
        assert (found.verdict, found.severity, found.columns) == ("failed", "critical", ("x",))
        assert "- x is never null: Unexpected: 3 of 10." in found.text
    assert alert(Done(value={"success": True}), kind="quality.check/v1") is None


def test_a_columns_name_obeys_nobody() -> None:
    """Mentions, links, control characters and secrets of the data's reach no channel."""
    hostile = "<!channel> @here [x](http://evil) \x1b[31m\u202ered password=hunter2 " + "a" * 300
    found = alert(drift(hostile))
    for text in (found.title, found.text, *found.columns):
        assert not {"<", "@", "[", "\x1b", "\u202e"} & set(text)
        assert "hunter2" not in text
    assert len(found.columns[0]) <= 80


def test_many_columns_are_counted() -> None:
    """Five are named."""
    found = alert(drift(*(f"c{number}" for number in range(9))))
    assert found.title.endswith("c0, c1, c2, c3, c4 and 4 more")


class Channel:
    """People, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[str] = []
        self.told = Told(FolderStore(folder), MONITOR, "drift.check/v1")

    def night(self, day: int, *columns: str, deaf: bool = False) -> None:
        """One night's check."""
        partition = f"2024-05-{day:02}"
        found: Alert | None = alert(drift(*columns), partition) if columns else None
        news = found is not None and self.told.is_news(found)
        if news and not deaf:
            self.heard.append(f"{day}:{','.join(columns)}")
        self.told.note(partition, found, told=news and not deaf)


@pytest.fixture
def channel(tmp_path: Path) -> Channel:
    """A channel with nothing told yet."""
    return Channel(tmp_path)


def test_the_same_cause_is_told_once(channel: Channel) -> None:
    """Six nights of one cause are one message; in a week they are heard of it again."""
    for day in range(1, 8):
        channel.night(day, "a")
    assert channel.heard == ["1:a"]
    channel.night(8, "a")
    assert channel.heard == ["1:a", "8:a"]


def test_another_cause_is_news(channel: Channel) -> None:
    """Also while the first one goes on."""
    channel.night(1, "a")
    channel.night(2, "a", "b")
    channel.night(3, "a", "b")
    assert channel.heard == ["1:a", "2:a,b"]


def test_what_was_gone_and_comes_back_is_news(channel: Channel) -> None:
    """A quiet night in between ends it."""
    channel.night(1, "a")
    channel.night(2)
    channel.night(3, "a")
    assert channel.heard == ["1:a", "3:a"]


def test_a_retry_tells_nobody_again(channel: Channel) -> None:
    """Nor does a clear, nor a backfill of an older night."""
    channel.night(5, "a")
    channel.night(5, "a")
    channel.night(3, "a")
    assert channel.heard == ["5:a"]


def test_who_could_not_be_told_is_told_by_the_next_night(channel: Channel) -> None:
    """A channel that is down loses no cause."""
    channel.night(1, "a", deaf=True)
    channel.night(2, "a")
    assert channel.heard == ["2:a"]


def test_a_damaged_note_tells_again(channel: Channel, tmp_path: Path) -> None:
    """Better twice than never."""
    channel.night(1, "a")
    for file in (tmp_path / MONITOR / "alerts" / "drift.check").iterdir():
        file.write_bytes(b"{half")
    channel.night(2, "a")
    assert channel.heard == ["1:a", "2:a"]
