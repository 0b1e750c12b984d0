"""Infer: a few rows, one answer, recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor, Done, Platform, RunIdentity, embedded, run_step
from backbeat.errors import BudgetSpent, InvalidData, InvalidStep
from backbeat.kinds import step_from_fields
from backbeat.steps import Infer


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform with a ledger and nothing else."""
    return embedded(tmp_path / "platform", registry=False)


def infer(platform: Platform, address: str, *xs: Any, attempt: int = 1, **given: Any) -> Any:
    """One call."""
    rows = given.pop("rows", [{"x": x} for x in xs])
    step = step_from_fields(Infer, {"model": address, "rows": rows, **given})
    identity = RunIdentity(
        workflow="w", run="r", task="t", attempt=attempt, actor=Actor(id="ana", method="python")
    )
    return run_step(step, identity, platform)


def test_rows_in_predictions_out(platform: Platform, server: Any) -> None:
    """With where they come from, and what they cost."""
    server.version = "7"
    done = infer(platform, server.address, 1.0, 2.0, serving={"prices": {"a_call": 0.5}})
    assert isinstance(done, Done)
    assert done.value["predictions"] == [{"score": 2.0}, {"score": 4.0}]
    assert (done.value["version"], done.value["cost"], done.value["attempts"]) == ("7", 0.5, 1)
    assert done.inputs[0].uri == server.address


def test_a_retry_gets_the_recorded_answer(platform: Platform, server: Any) -> None:
    """A model that is paid by the call is asked once."""
    first = infer(platform, server.address, 1.0)
    server.factor = 3
    assert infer(platform, server.address, 1.0, attempt=2) == first
    assert len(server.asked) == 1


def test_unsure_rows_are_marked_or_asked_elsewhere(
    platform: Platform, serving: Callable[[], Any]
) -> None:
    """As in a table."""
    first, second = serving(), serving()
    first.sure, second.sure, second.factor = (lambda x: x / 10), (lambda _: 1.0), 3
    marked = infer(platform, first.address, 1.0, 9.0, serving={"at_least": 0.5})
    assert [row["route"] for row in marked.value["predictions"]] == ["review", "accept"]
    asked = {"at_least": 0.5, "doubtful": second.address}
    found = infer(platform, first.address, 1.0, 9.0, serving=asked).value["predictions"]
    assert [(row["route"], row["score"]) for row in found] == [("fallback", 3.0), ("accept", 18.0)]


def test_a_cap_counts_over_calls_of_the_task(platform: Platform, server: Any) -> None:
    """Mapped copies share it."""
    infer(platform, server.address, 1.0, serving={"max_calls": 1})
    with pytest.raises(BudgetSpent, match="max_calls=1"):
        infer(platform, server.address, 2.0, serving={"max_calls": 1})
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("rows", "kind", "says"),
    [
        ([], InvalidStep, "rows"),
        ([{"x": 1.0}] * 1001, InvalidStep, "rows"),
        ([{"x": 1.0}, {"y": 1.0}], InvalidData, "different columns"),
        ([{"x": 1.0}, {"x": "a"}], InvalidData, "make no table"),
    ],
)
def test_rows_that_are_none_are_refused(
    platform: Platform, server: Any, rows: list[Any], kind: type[Exception], says: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind, match=says):
        infer(platform, server.address, rows=rows)
    assert not server.asked


def test_an_address_is_needed() -> None:
    """A registered model is for BatchInference."""
    with pytest.raises(InvalidStep, match="no address of a served model"):
        step_from_fields(Infer, {"model": "models:/m@champion", "rows": [{"x": 1}]})
