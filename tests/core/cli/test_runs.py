from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]


@pytest.fixture
def recorded(backbeat: Make, asking: Path) -> str:
    """The key of a sign-off that waited and was then approved."""
    asked = backbeat("run", asking, "--run", "r", "--json").json["request_id"]
    backbeat("signoff", "approve", asked, "--yes")
    backbeat("run", asking, "--run", "r")
    key: str = backbeat("runs", "list", "--json").json[0]["key"]
    return key


def test_runs_are_listed(backbeat: Make, recorded: str, asking: Path) -> None:
    """Work is listed newest first, of one state where that is asked, and not more than asked."""
    backbeat("run", asking, "--run", "later")
    listed = backbeat("runs", "list", "--json").json
    assert [(item["identity"]["run"], item["state"]) for item in listed] == [
        ("later", "waiting"),
        ("r", "done"),
    ]
    assert [item["key"] for item in backbeat("runs", "list", "--state", "done", "--json").json] == [
        recorded
    ]
    assert len(backbeat("runs", "list", "--limit", "1", "--json").json) == 1
    assert recorded.removeprefix("sha256:")[:12] in backbeat("runs", "list").out


def test_a_run_is_shown_with_its_attempts(backbeat: Make, recorded: str) -> None:
    """Key, inputs, outcome and every attempt, by the beginning of the key."""
    for key in (recorded, recorded[:20], recorded.removeprefix("sha256:")[:12]):
        shown = backbeat("runs", "show", key, "--json").json
        assert shown["key"] == recorded
        assert [(item["token"], item["ending"]) for item in shown["attempts"]] == [
            (1, "waiting"),
            (2, "done"),
        ]
        assert shown["outcome"]["value"]["decision"] == "approved"
    text = backbeat("runs", "show", recorded).out
    assert recorded in text
    assert "waiting" in text


@pytest.mark.parametrize("key", ["0000", "sha256:", "%"])
def test_a_key_that_names_no_single_run_is_refused(
    backbeat: Make, recorded: str, asking: Path, key: str
) -> None:
    """Nothing found, or more than one, is a final error that says what to do."""
    backbeat("run", asking, "--run", "later")
    said = backbeat("runs", "show", key)
    assert said.code == 6
    assert "not exactly one piece of work has a key that begins with" in said.err


def test_an_empty_ledger_has_no_runs(backbeat: Make) -> None:
    """No work is an empty list, or a sentence."""
    assert backbeat("runs", "list", "--json").json == []
    assert backbeat("runs", "list").out == "no work is recorded\n"
