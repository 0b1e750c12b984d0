"""Infer: a few rows, one answer, recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor, Done, Platform, RunIdentity, embedded, run_step
from backbeat.errors import BudgetSpent, InvalidData, InvalidStep, Refused, UnmetNeed
from backbeat.kinds import step_from_fields
from backbeat.ports import Verdict
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


def test_its_numbers_say_how_the_calls_went(platform: Platform, server: Any) -> None:
    """Quantiles of their time, retries, and the breaker's state."""
    server.failing = [(500, {})]
    metrics = infer(platform, server.address, 1.0).metrics
    assert (metrics["calls"], metrics["retries"], metrics["breaker"]) == (1, 1, 0)
    assert 0 < metrics["seconds.p50"] <= metrics["seconds.p95"] <= metrics["seconds.p99"]


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


def test_money_is_capped_over_calls_of_the_task_too(platform: Platform, server: Any) -> None:
    """A mapped copy that has paid nothing yet knows what the others have."""
    asked = {"max_cost": 1.0, "prices": {"a_call": 0.5}}
    for x in (1.0, 2.0):
        assert infer(platform, server.address, x, serving=asked).value["cost"] == 0.5
    with pytest.raises(BudgetSpent, match="max_cost=1"):
        infer(platform, server.address, 3.0, serving=asked)
    assert len(server.asked) == 2


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
    """What names neither a served nor a registered model is refused when it is written."""
    for model in ("models:/m", "m", "http://host/m"):
        with pytest.raises(InvalidStep, match=r"names no registered|no address of"):
            step_from_fields(Infer, {"model": model, "rows": [{"x": 1}]})


@pytest.fixture
def registered(tmp_path: Path) -> Platform:
    """A platform whose registry has the model `double`, of which version 1 is the champion."""
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    found = embedded(tmp_path / "registered")
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    run = found.registry.log_model(
        LinearRegression().fit(frame, frame["x"] * 2),
        effect_id="e",
        experiment="e",
        predict="predict",
        sample=frame,
        params={},
        metrics={},
        tags={},
    )
    found.registry.register("double", source=run, effect_id="e", tags={})
    found.registry.set_alias("double", "champion", "1")
    return found


def test_a_registered_model_is_asked_in_this_process(registered: Platform) -> None:
    """Its alias is pinned to a version at the claim, and the answer is recorded as any other."""
    done = infer(registered, "models:/double@champion", 1.0, 2.0)
    assert [row["score"] for row in done.value["predictions"]] == pytest.approx([2, 4])
    assert (done.value["model"], done.value["version"]) == ("models:/double/1", "1")
    assert registered.ledger.runs()[0].inputs == {"model": "models:/double/1"}


def test_a_registered_model_stands_in_for_a_served_one(registered: Platform, server: Any) -> None:
    """As the fallback of a server that is ill."""
    server.failing = [(500, {})] * 100
    found = infer(registered, server.address, 3.0, serving={"fallback": "models:/double/1"})
    assert found.value["predictions"][0]["score"] == pytest.approx(6)
    assert found.value["model"] == "models:/double/1"


def test_a_registered_model_needs_a_registry(platform: Platform) -> None:
    """And a served one does not."""
    with pytest.raises(UnmetNeed, match="needs a registry"):
        infer(platform, "models:/double@champion", 1.0)


def test_an_address_that_is_not_allowed_is_refused_at_the_claim(
    platform: Platform, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, and the refusal is on record."""
    monkeypatch.setenv("BACKBEAT_ALLOWED_ADDRESSES", "https://*.models.internal")
    with pytest.raises(Refused, match="not among the addresses that are allowed"):
        infer(platform, server.address, 1.0)
    assert not server.asked
    (run,) = platform.ledger.runs()
    assert run.outcome is not None
    assert (run.outcome["error"], run.outcome["retryable"]) == ("Refused", False)


def test_the_policy_is_asked_about_every_model(
    platform: Platform, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fallback too, which may never be needed."""
    other = "kserve-v1+http://127.0.0.1:1/v1/models/other"

    class Strict:
        def decide(self, action: str, *, identity: RunIdentity, facts: Any) -> Verdict:
            return Verdict(allowed=facts.get("address") != other, reason="it is not ours")

    monkeypatch.setattr(platform, "policy", Strict())
    infer(platform, server.address, 1.0)
    with pytest.raises(Refused, match="it is not ours"):
        infer(platform, server.address, 2.0, serving={"fallback": other})
    assert len(server.asked) == 1
