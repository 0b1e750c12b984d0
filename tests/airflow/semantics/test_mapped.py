"""Mapped tasks whose list changes: work belongs to its item, not to its index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import Platform
from backbeat.signoff import requests

pytestmark = pytest.mark.timeout(300)
Start = Callable[..., Any]


def test_a_retry_of_a_shifted_item_is_given_nobody_elses_work(
    start: Start, platform: Platform, tmp_path: Path
) -> None:
    """Index 1 crashed as b and is retried as a: it is a's work that is done, not b's handed out."""
    (tmp_path / "tables").write_text("a b c")
    (tmp_path / "dies").write_text("log1")
    run = start("mapped")
    run.schedule()
    run.execute(*run.instances("scheduled"))
    run.schedule()
    for ti in run.instances("scheduled"):
        run.execute(ti)
    assert run.states()["log[1]"] == "up_for_retry"
    assert {_table(work) for work in _logged(platform)} == {"a", "b", "c"}
    (tmp_path / "tables").write_text("x a b c")
    run.clear("tables")
    run.play()
    found = [run.output("log", index)["table"] for index in range(4)]
    assert found == ["a", "a", "c", "c"]  # 0 and 2 were done before, and were not cleared
    (second,) = [
        work for work in _logged(platform) if _task(work) == "log[1]" and _table(work) == "a"
    ]
    assert second.outcome["value"] == {"table": "a"}


def test_a_clear_after_the_list_has_changed_does_each_item(
    start: Start, platform: Platform, tmp_path: Path
) -> None:
    """Every item of the new list has its own outcome, those that moved and the one that came."""
    (tmp_path / "tables").write_text("a b c")
    run = start("mapped")
    run.play()
    (tmp_path / "tables").write_text("x a b c")
    run.clear("tables", "log")
    run.play()
    assert [run.output("log", index)["table"] for index in range(4)] == ["x", "a", "b", "c"]
    assert all(work.outcome["value"] == work.step["facts"] for work in _logged(platform))


def test_a_request_keeps_to_its_item(
    start: Start, platform: Platform, tmp_path: Path, approve: Callable[..., None]
) -> None:
    """Asked about c at index 2, where b is by now: the answer is about c."""
    (tmp_path / "tables").write_text("a b c")
    run = start("mapped")
    run.play()
    asked = {state.request.about["table"]: state.request.request_id for state in _open(platform)}
    (tmp_path / "tables").write_text("x a b c")
    run.clear("tables")
    run.play()
    for table in "abc":
        approve(asked[table])
    run.fire_triggers(0, 1, 2)
    run.play()
    answered = [run.output("ask", index) for index in range(3)]
    assert [value["table"] for value in answered] == ["a", "b", "c"]
    assert [value["request_id"] for value in answered] == [asked[table] for table in "abc"]
    assert _open(platform) == []


def _open(platform: Platform) -> list[Any]:
    return requests(platform.ledger, state="open")


def _logged(platform: Platform) -> list[Any]:
    return [work for work in platform.ledger.runs() if work.kind == "lineage.log/v1"]


def _table(work: Any) -> str:
    return str(work.step["facts"]["table"])


def _task(work: Any) -> str:
    return f"{work.identity['task']}[{work.identity['map_index']}]"
