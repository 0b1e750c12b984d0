import os
import subprocess
import sys
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import dataset as ds
from sklearn.metrics import roc_auc_score
from skops import io as skops

from flights.features import labels, schedules
from flights.settings import CATEGORIES, FEATURES, KEY, LABEL, NUMBERS
from flights.source import read
from flights.training import train

FIRST = date(2013, 5, 3)


def _days(first: date, count: int) -> list[date]:
    return [first + timedelta(days=day) for day in range(count)]


def _tables(first: date, count: int) -> dict[str, pa.Table]:
    days = _days(first, count)
    return {
        "features": pa.concat_tables([table for _, table in schedules(read(), days)]),
        "labels": pa.concat_tables([table for _, table in labels(read(), days)]),
    }


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return _tables(FIRST, 28)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return _tables(date(2013, 6, 14), 3)["features"].to_pandas()[list(FEATURES)]


def _train(tables: dict[str, pa.Table], params: dict[str, Any] | None = None) -> Any:
    return train({name: ds.dataset(table) for name, table in tables.items()}, params or {})


def test_two_fits_predict_the_same_bits(tables: dict[str, pa.Table], frame: pd.DataFrame) -> None:
    """Training again on the same days, in any order of rows, gives the same scores to the bit."""
    random = np.random.default_rng(0)
    shuffled = {
        name: table.take(random.permutation(table.num_rows)) for name, table in tables.items()
    }
    first = _train(tables).predict_proba(frame)

    assert np.array_equal(_train(tables).predict_proba(frame), first)
    assert np.array_equal(_train(shuffled).predict_proba(frame), first)


def test_the_number_of_threads_changes_nothing() -> None:
    """A worker process that has more threads fits the same model."""
    code = f"""
import hashlib
import pyarrow as pa
from datetime import date, timedelta
from pyarrow import dataset as ds
from flights import features, source, training
days = [date.fromisoformat("{FIRST}") + timedelta(days=count) for count in range(14)]
data = {{
    name: ds.dataset(pa.concat_tables([table for _, table in build(source.read(), days)]))
    for name, build in (("features", features.schedules), ("labels", features.labels))
}}
model = training.train(data, {{}})
scores = model.predict_proba(data["features"].to_table().to_pandas())
print(hashlib.sha256(scores.tobytes()).hexdigest())
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    }

    assert len(found) == 1


def test_the_model_knows_more_than_the_base_rate(tables: dict[str, pa.Table]) -> None:
    """On the two weeks after training, late flights are ranked well above chance."""
    later = _tables(FIRST + timedelta(days=28), 14)
    joined = later["features"].to_pandas().merge(later["labels"].to_pandas(), on=KEY)
    scores = _train(tables).predict_proba(joined[list(FEATURES)])[:, 1]

    assert roc_auc_score(joined[LABEL], scores) > 0.65


@pytest.mark.parametrize("value", [None, np.nan, "never seen"])
def test_unknown_categories_are_scored(
    value: object, tables: dict[str, pa.Table], frame: pd.DataFrame
) -> None:
    """A carrier that is new or missing gives a probability, not an error."""
    unknown = frame.astype(dict.fromkeys(CATEGORIES, object))
    unknown.loc[:1000, list(CATEGORIES)] = value
    scores = _train(tables).predict_proba(unknown)[:, 1]

    assert ((scores > 0) & (scores < 1)).all()


def test_missing_numbers_are_scored(tables: dict[str, pa.Table], frame: pd.DataFrame) -> None:
    """A flight of which nothing but the names is known gives a probability, not an error."""
    empty = frame.astype(dict.fromkeys(NUMBERS, float))
    empty[list(NUMBERS)] = np.nan
    scores = _train(tables).predict_proba(empty)[:, 1]

    assert ((scores > 0) & (scores < 1)).all()


def test_the_model_travels_without_pickle(tables: dict[str, pa.Table], frame: pd.DataFrame) -> None:
    """The model survives skops bit for bit, trusting one type of scikit-learn's own."""
    model = _train(tables)
    content = skops.dumps(model)
    types = skops.get_untrusted_types(data=content)
    loaded = skops.loads(content, trusted=types)

    assert types == ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
    assert np.array_equal(loaded.predict_proba(frame), model.predict_proba(frame))


def test_parameters_are_taken(tables: dict[str, pa.Table]) -> None:
    """A parameter that is given wins over the team's setting; an unknown one is refused."""
    assert _train(tables, {"max_iter": 3})[-1].n_iter_ == 3
    with pytest.raises(TypeError, match="tree_count"):
        _train(tables, {"tree_count": 3})


def test_nothing_to_learn_from_is_an_error(tables: dict[str, pa.Table]) -> None:
    """Labels of other days than the schedules' are an error that says so."""
    other = _tables(date(2013, 7, 1), 1)["labels"]

    with pytest.raises(ValueError, match=r"^0 labelled flights .* same days$"):
        _train({**tables, "labels": other})


def test_a_flight_that_comes_twice_is_an_error(tables: dict[str, pa.Table]) -> None:
    """A schedule that holds a flight twice is refused instead of counted twice."""
    twice = pa.concat_tables([tables["features"], tables["features"].slice(0, 1)])

    with pytest.raises(pd.errors.MergeError):
        _train({**tables, "features": twice})


def test_a_dag_file_can_read_the_settings_for_nothing() -> None:
    """Importing the settings loads neither pandas, pyarrow nor scikit-learn."""
    code = """
import sys, flights.settings
print(sorted({"pandas", "pyarrow", "sklearn"} & {*sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
