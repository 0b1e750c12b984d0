"""What every protocol promises, held against the real server that speaks it."""

from __future__ import annotations

from dataclasses import replace

import models
import numpy as np
import pyarrow as pa
import pytest
from asking import Model, rows, scores

from backbeat.errors import InvalidData, NotFound


def _expected(asked: pa.RecordBatch) -> np.ndarray:
    return models.score(np.column_stack([column.to_numpy() for column in asked.columns]))


def _unknown(model: Model) -> Model:
    """The same server's address of a model that it does not have."""
    path = model.endpoint.path
    other = path.replace("/churn", "/nope") if "/churn" in path else f"/nope{path}"
    return replace(model, address=model.address.replace(path, other, 1))


def test_a_model_that_serves_is_ready(model: Model) -> None:
    """A server that has loaded its model says so."""
    assert model.ready()


def test_a_description_names_the_model_or_nothing(model: Model) -> None:
    """What a server says about its model is read, and no name is made up."""
    assert model.describe().name in {models.NAME, ""}


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_every_row_gets_the_score_of_the_model(model: Model, count: int) -> None:
    """Answers are those of the model in this process, row by row."""
    asked = rows(count)
    answer = model.predict(asked)
    assert answer.outputs.num_rows == count
    np.testing.assert_allclose(scores(answer), _expected(asked), atol=1e-6)


def test_a_slice_of_rows_is_sent_and_not_what_it_was_cut_from(model: Model) -> None:
    """Rows in the middle of a larger batch get their own scores."""
    asked = rows(100).slice(40, 3)
    np.testing.assert_allclose(scores(model.predict(asked)), _expected(asked), atol=1e-6)


def test_the_same_rows_get_the_same_answer(model: Model) -> None:
    """Two answers to the same rows are equal, their types too."""
    assert model.predict(rows(50)).outputs.equals(model.predict(rows(50)).outputs)


def test_an_unknown_model_is_not_found(model: Model) -> None:
    """A model that the server does not have is an error that no retry repairs."""
    with pytest.raises(NotFound):
        _unknown(model).predict(rows(2))


def test_an_unknown_model_is_not_ready(model: Model) -> None:
    """Asked about a model that it does not have, no server seems ready."""
    try:
        ready = _unknown(model).ready()
    except NotFound:
        return
    assert not ready


def test_rows_without_a_feature_are_invalid(model: Model) -> None:
    """Three features where the model takes four are the fault of the rows."""
    with pytest.raises(InvalidData):
        model.predict(rows(2).select(["a", "b", "c"]))


def test_text_in_place_of_a_number_is_invalid(model: Model) -> None:
    """A column of text where the model takes numbers is the fault of the rows."""
    asked = rows(2)
    text = pa.record_batch({**dict(zip("abc", asked.columns[:3], strict=True)), "d": ["x", "y"]})
    with pytest.raises(InvalidData):
        model.predict(text)


def test_the_model_still_answers_after_rows_that_it_refused(model: Model) -> None:
    """Bad rows make nobody else's answers fail."""
    with pytest.raises(InvalidData):
        model.predict(rows(2).select(["a", "b", "c"]))
    np.testing.assert_allclose(scores(model.predict(rows(2))), _expected(rows(2)), atol=1e-6)
