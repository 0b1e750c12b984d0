"""Steps that name or render to what is not there: a clear error, and nothing half-written."""

from __future__ import annotations

from typing import Any

import pytest
from parcels import (
    MODEL,
    Season,
    comparison,
    drift,
    failure,
    nothing_changes,
    profile,
    promotion,
    quality,
    scoring,
    step,
    training,
)

from backbeat import Step
from backbeat.errors import (
    FinalError,
    InvalidData,
    InvalidStep,
    NotFound,
    UserCodeFailed,
)

UNKNOWN_MODEL = {
    "scoring": scoring("landing/parcels/2024-05-04.parquet", model="models:/letters@champion"),
    "drift": drift("landing/parcels/2024-05-04.parquet", reference="models:/letters/1"),
    "comparison": comparison(challenger="models:/letters/1"),
    "profile": profile("landing/parcels/2024-05-04.parquet", model="models:/letters/1"),
    "promotion": step("model.promote", model="letters", version="1"),
}


@pytest.mark.parametrize("task", UNKNOWN_MODEL)
def test_an_unknown_model(task: str, shared: Season) -> None:
    """A model that was never registered is named, and nothing is made for it."""
    error = failure(shared, UNKNOWN_MODEL[task], NotFound)

    assert error.message.startswith("models:/letters")
    assert "does not exist in the registry at sqlite:///" in error.message
    assert error.hint == "register a first version of it, or correct the name"


@pytest.mark.parametrize(
    "task",
    [
        scoring("landing/parcels/2024-05-04.parquet", model=f"models:/{MODEL}@blue"),
        comparison(challenger=f"models:/{MODEL}@blue"),
        promotion("7"),
    ],
    ids=["scoring", "comparison", "promotion"],
)
def test_an_unknown_alias_or_version(task: Step, shared: Season) -> None:
    """Where the model is known, its aliases and versions are offered."""
    error = failure(shared, task, NotFound)

    assert error.hint == "choose one that exists: @champion -> 1, 1, 2"


def test_a_version_without_a_profile(shared: Season) -> None:
    """A version that no profile is bound to cannot be a reference, and how to bind one is said."""
    task = drift("landing/parcels/2024-05-04.parquet", reference=f"models:/{MODEL}/2")
    error = failure(shared, task, NotFound)

    assert error.message == "no profile is bound to models:/parcels/2"
    assert error.hint.startswith("run BuildProfile with model= that version")


def test_a_profile_that_is_not_there(shared: Season) -> None:
    """A reference by store key that nobody wrote is named."""
    task = drift("landing/parcels/2024-05-04.parquet", reference="profiles/none.json")
    error = failure(shared, task, NotFound)

    assert error.message == "the store has nothing under 'profiles/none.json'"


def test_a_profile_that_is_something_else(shared: Season) -> None:
    """A file that is no profile is not compared with."""
    key = shared.land_bytes("bad/profile.json", b"%PDF-1.7")
    task = drift("landing/parcels/2024-05-04.parquet", reference=key)
    error = failure(shared, task, InvalidData)

    assert error.message.startswith("This profile is truncated or not JSON")


def test_an_unknown_source_of_a_candidate(shared: Season) -> None:
    """A run that does not exist registers nothing, not even the model's name."""
    task = step("model.candidate", model="letters", source="runs:/" + "0" * 32 + "/model")
    error = failure(shared, task, NotFound)

    assert "0" * 32 in error.message


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        (
            {"kind": "drift.check/v1", "current": "a", "reference": "b", "colums": ["c"]},
            "drift.check/v1 does not validate: colums is no field of it",
            "did you mean columns?",
        ),
        (
            {"kind": "drift.chek/v1"},
            "there is no step kind 'drift.chek/v1'",
            "did you mean drift.check/v1?",
        ),
        (
            {"kind": "drift.check/v7", "current": "a", "reference": "b"},
            "drift.check has no version 'v7' here, only drift.check/v1",
            "upgrade backbeat, or write the step for the version that is there",
        ),
        (
            {"current": "a"},
            'a step\'s JSON needs "kind", such as "drift.check/v1"',
            "known kinds: drift.check/v1",
        ),
        (
            {"kind": "model.compare/v1", "challenger": "x", "champion": "y", "samples": "many"},
            "model.compare/v1 does not validate: data: Field required; labels: Field required",
            "see `backbeat schema model.compare`",
        ),
    ],
    ids=["field", "kind", "version", "no kind", "values"],
)
def test_a_steps_json(value: dict[str, Any], message: str, hint: str, shared: Season) -> None:
    """A step that is not one is refused before anything is looked at."""
    from backbeat.kinds import step_from_json

    with nothing_changes(shared), pytest.raises(InvalidStep) as caught:
        shared.run(step_from_json(value))

    assert caught.value.message.startswith(message)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("nonsense", ["{{ ds }}", "None", "", "not-a-date", "2024-13-45"])
def test_a_day_that_renders_to_nonsense(nonsense: str, shared: Season) -> None:
    """A template that rendered to no day is refused with what it rendered to."""
    with nothing_changes(shared), pytest.raises(InvalidStep) as caught:
        shared.run(quality({"uri": "landing/parcels/{day}.parquet", "until": nonsense}))

    assert caught.value.message.startswith("quality.check/v1 does not validate: data.until: Input")
    assert f"(got {nonsense!r})" in caught.value.message


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (promotion("None"), "'models:/parcels/None' names no registered model version."),
        (
            step("model.candidate", model=MODEL, source="None"),
            "'None' is no source of a model.",
        ),
        (scoring("landing/parcels/2024-05-04.parquet", model="None"), "'None' names no registered"),
    ],
    ids=["no version", "no run", "no model"],
)
def test_a_reference_that_renders_to_nonsense(task: Step, message: str, shared: Season) -> None:
    """A version, run or model that a template left empty is refused before anything is written."""
    error = failure(shared, task, InvalidStep)

    assert error.message.startswith(message)


def test_a_request_that_renders_to_nonsense(shared: Season) -> None:
    """A sign-off that nobody asked for approves nothing."""
    error = failure(shared, promotion(request_id="so-nonsense"), NotFound)

    assert error.message == "there is no sign-off request so-nonsense"
    assert error.hint == "see `backbeat signoff list`"


def test_a_path_out_of_the_store(shared: Season) -> None:
    """A key that leads out of the store is not written to."""
    task = profile("landing/parcels/2024-05-04.parquet", output_key="../outside.json")
    error = failure(shared, task, FinalError)

    assert error.message == "the store key '../outside.json' leaves the store"
    assert not (shared.folder / "outside.json").exists()


@pytest.mark.parametrize(
    ("function", "message", "hint"),
    [
        (
            "train_and_raise",
            "parcels:train_and_raise raised ZeroDivisionError: no parcels an hour.",
            "the traceback above is of the function itself",
        ),
        (
            "train_nothing",
            "parcels:train_nothing returned None, which has neither `predict` nor",
            "return the fitted model",
        ),
        (
            "train_unfitted",
            "LogisticRegression.predict_proba raised NotFittedError on 50 rows",
            "return a fitted model that takes the feature columns",
        ),
        (
            "train_three_classes",
            "DummyClassifier.predict_proba cannot be used for scoring: The model gave an array",
            "for more than two classes, wrap the model",
        ),
        (
            "train_regressor",
            "The trained DummyRegressor has no `predict_proba`.",
            "return a model that has it, or set the step's `predict`",
        ),
        ("train_pickled", "", "build it of scikit-learn's estimators"),
    ],
)
def test_a_training_function(function: str, message: str, hint: str, shared: Season) -> None:
    """A function that gives no model that can be scored leaves no run and no model."""
    task = training("landing/parcels/2024-05-01.parquet", function=f"parcels:{function}")
    error = failure(shared, task, UserCodeFailed)

    assert error.message.startswith(message)
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("function", "message", "hint"),
    [
        ("parcels:trian", "The module parcels has no 'trian'.", "did you mean train"),
        ("parcles:train", "There is no module 'parcles' for the path parcles.", "install its"),
        ("parcels:MODEL", "parcels:MODEL is a str, which cannot be called.", "name a function"),
    ],
)
def test_a_function_that_is_not_there(
    function: str, message: str, hint: str, shared: Season
) -> None:
    """A path that leads to no function is refused before data is read."""
    task = training("landing/parcels/2024-05-01.parquet", function=function)
    error = failure(shared, task, InvalidStep)

    assert error.message == message
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        ("model.promote", {"model": MODEL, "version": "{{ version }}"}, "version"),
        (
            "inference.batch",
            {"model": "models:/m/1", "data": "a", "output_key": "scores/{{ ds }}", "key": ["id"]},
            "output_key",
        ),
        ("signoff.request", {"subject": "Promote {{ version }}?"}, "subject"),
    ],
)
def test_a_text_that_is_still_a_template(kind: str, fields: dict[str, Any], field: str) -> None:
    """What nobody rendered never becomes the name of a file, a model or a request."""
    with pytest.raises(InvalidStep) as caught:
        step(kind, **fields)
    assert f"{field} is still a template (got '{fields[field]}')" in caught.value.message
    assert caught.value.hint == "render it first, or write the value itself"
