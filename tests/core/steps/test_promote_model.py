from __future__ import annotations

from typing import Any

import pytest
from parcels import MODEL, Season, documented_value, promotion, step

from backbeat import Actor, Done, Waiting
from backbeat.errors import Conflict, Refused
from backbeat.signoff import read_request, vote
from backbeat.steps import PromoteModel


def request(season: Season, *, version: str = "2", choice: Any = None, model: str = MODEL) -> str:
    """A sign-off request about a version, decided by one person unless it stays open."""
    outcome = season.run(
        step(
            "signoff.request",
            subject="a promotion",
            about={"model": model, "version": version},
            quorum=1,
        ),
        run=f"{model}-{version}-{choice}",
    )
    assert isinstance(outcome, Waiting)
    if choice is not None:
        shown = read_request(season.platform.ledger, outcome.request_id).request
        vote(
            season.platform.ledger,
            outcome.request_id,
            choice=choice,
            actor=Actor(id="ana", method="cli"),
            evidence_digest=shown.evidence_digest,
        )
    return outcome.request_id


def aliases(season: Season) -> list[tuple[Any, ...]]:
    """Every alias in MLflow."""
    return list(season.stores()["mlflow"]["aliases"])


def test_moves_the_alias(season: Season) -> None:
    """After an approval the alias points to the version; the value says from where and by whom."""
    outcome = season.run(promotion("2", request_id=request(season, choice="approve")))

    assert isinstance(outcome, Done)
    assert set(outcome.value) == documented_value(PromoteModel)
    assert outcome.value == {
        "model": MODEL,
        "version": "2",
        "previous": "1",
        "alias": "champion",
        "changed": True,
        "by": ["ana"],
    }
    assert aliases(season) == [(MODEL, "champion", 2)]


def test_the_first_champion(season: Season) -> None:
    """An alias that does not exist yet is made where the evidence saw none."""
    outcome = season.run(promotion("1", alias="blue", expected="None"))

    assert isinstance(outcome, Done)
    assert outcome.value["previous"] is None
    assert (MODEL, "blue", 1) in aliases(season)


def test_a_retry_looks_at_the_world_first(season: Season) -> None:
    """Verify replay: a retry knows its own work, another run finds it done, neither writes."""
    first = season.run(promotion("2"))
    before = season.stores()["mlflow"]
    assert season.run(promotion("2"), attempt=2) == first
    other = season.run(promotion("2"), run="night-2")
    assert isinstance(other, Done)
    assert other.value["changed"] is False
    assert other.value["previous"] == "2"
    assert season.stores()["mlflow"] == before


@pytest.mark.parametrize(("run", "attempt"), [("night-1", 2), ("night-2", 1)])
def test_a_rollback_is_not_undone(run: str, attempt: int, season: Season) -> None:
    """Neither a retry nor a re-execution sets an alias again that a person has set back."""
    season.run(promotion("2"), run="night-1")
    season.platform.registry.set_alias(MODEL, "champion", "1")
    with pytest.raises(Conflict, match="has been set back to 1 since: nothing was changed"):
        season.run(promotion("2"), run=run, attempt=attempt)
    assert aliases(season) == [(MODEL, "champion", 1)]


def test_a_new_decision_promotes_what_was_rolled_back(season: Season) -> None:
    """Whoever signs off a rolled back version once more moves the alias again."""
    season.run(promotion("2"), run="night-1")
    season.platform.registry.set_alias(MODEL, "champion", "1")
    asked = request(season, choice="approve")
    again = season.run(promotion("2", request_id=asked), run="night-2")
    assert isinstance(again, Done)
    assert again.value["changed"] is True
    assert aliases(season) == [(MODEL, "champion", 2)]


@pytest.mark.parametrize(("choice", "state"), [(None, "open"), ("reject", "rejected")])
def test_without_an_approval(choice: Any, state: str, season: Season) -> None:
    """An open or rejected request promotes nothing, and the refusal is on record."""
    asked = request(season, choice=choice)
    before = season.stores()
    with pytest.raises(Refused) as caught:
        season.run(promotion("2", request_id=asked))

    assert caught.value.message == f"the sign-off {asked} is {state}, not approved"
    assert caught.value.hint == "wait for the decision, or ask again with new evidence"
    assert season.stores() == before
    assert season.ended("denied") == ["model.promote/v1"]


@pytest.mark.parametrize("rendered", ["", "None"])
def test_a_request_that_rendered_to_nothing(rendered: str) -> None:
    """A template of a task that left no request does not say that none is demanded."""
    with pytest.raises(ValueError, match="a sign-off is demanded and none is named"):
        PromoteModel(model=MODEL, version="2", request_id=rendered)


@pytest.mark.parametrize("about", [{"version": "1"}, {"model": "letters"}])
def test_an_approval_of_something_else(about: dict[str, str], season: Season) -> None:
    """An approval of another version or another model does not carry over."""
    asked = request(season, choice="approve", **about)
    before = season.stores()
    with pytest.raises(Refused) as caught:
        season.run(promotion("2", request_id=asked))

    assert caught.value.message == (
        f"the sign-off {asked} is about { ({'model': MODEL, 'version': '2'} | about) }, "
        f"not about {MODEL} version 2"
    )
    assert caught.value.hint == "ask for a sign-off of the version that is to be promoted"
    assert season.stores() == before


@pytest.mark.parametrize("expected", ["2", "None"])
def test_a_champion_that_the_evidence_did_not_see(expected: str, season: Season) -> None:
    """Where the alias moved since the comparison, nothing is changed."""
    from parcels import training

    trained = season.run(training("landing/parcels/2024-05-01.parquet"))
    assert isinstance(trained, Done)
    season.run(step("model.candidate", model=MODEL, source=trained.value["run_id"]))
    before = season.stores()
    with pytest.raises(Conflict) as caught:
        season.run(promotion("3", expected=expected))

    assert caught.value.message == (
        f"{MODEL}@champion is version 1, but the evidence compared with {expected}: "
        "nothing was changed"
    )
    assert caught.value.hint == "compare with the present champion and ask for a sign-off again"
    assert season.stores() == before


def test_a_backfill_promotes_only_where_asked(season: Season) -> None:
    """Playing the past again moves no alias, unless the step says so."""
    before = season.stores()
    with pytest.raises(Refused) as caught:
        season.run(promotion("2"), backfill=True)
    assert caught.value.message == (
        f"policy does not let {MODEL} be promoted: "
        "a backfill promotes nothing unless it says in_backfill"
    )
    assert caught.value.hint == "promote from a run that policy allows"
    assert season.stores() == before

    assert isinstance(season.run(promotion("2", in_backfill=True), backfill=True), Done)
    assert aliases(season) == [(MODEL, "champion", 2)]


def test_an_anonymous_run_promotes_nothing(season: Season) -> None:
    """Nobody in particular may not even start."""
    before = season.stores()
    with pytest.raises(Refused) as caught:
        season.run(promotion("2"), actor=Actor(id="who", method="anonymous"))

    assert "anonymous" in caught.value.message
    assert season.stores() == before
    assert season.ended("denied") == ["model.promote/v1"]
