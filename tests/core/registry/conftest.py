from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backbeat.registry import MlflowRegistry


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tracking URI of one SQLite database: its first migration takes seconds."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    MlflowRegistry(tracking_uri=uri).ping()
    return uri


@pytest.fixture
def registry(database: str) -> MlflowRegistry:
    """A registry over that database."""
    return MlflowRegistry(tracking_uri=database)


@pytest.fixture
def trusting(database: str) -> MlflowRegistry:
    """The same, with pickles allowed."""
    return MlflowRegistry(tracking_uri=database, allow_pickle=True)


@pytest.fixture
def client(database: str) -> Any:
    """MLflow's own client, to see what is really there."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=database, registry_uri=database)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model and experiment name of this test's own."""
    return re.sub(r"\W+", "-", request.node.name)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # MLflow's defaults are files in the working directory: none may ever appear there
    folder = tmp_path / "working-directory"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="session")
def rows() -> Any:
    """Sixty rows of features."""
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "hour": generator.integers(0, 24, 60),
            "carrier": generator.choice(["AA", "UA", "DL"], 60),
            "wind_mph": generator.normal(10, 3, 60),
        }
    )


@pytest.fixture(scope="session")
def fitted(rows: Any) -> Any:
    """A pipeline of scikit-learn's own parts, fitted on the rows."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, ["carrier"]), remainder="passthrough")
    late = (rows["hour"] > 12).astype(int)
    return make_pipeline(columns, RandomForestClassifier(3, random_state=0)).fit(rows, late)


@pytest.fixture(scope="session")
def fitted_with_lambda(rows: Any) -> Any:
    """A pipeline that only a pickle can hold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    late = (rows["hour"] > 12).astype(int)
    numbers = FunctionTransformer(lambda frame: frame[["hour", "wind_mph"]])
    return make_pipeline(numbers, LogisticRegression()).fit(rows, late)


@pytest.fixture
def log(name: str, fitted: Any, rows: Any) -> Any:
    """Log a model through a registry, with what a test does not care about filled in."""

    def log_model(registry: MlflowRegistry, effect_id: str, **changes: Any) -> str:
        arguments: dict[str, Any] = {
            "experiment": name,
            "predict": "predict_proba",
            "sample": rows.head(),
            "params": {"depth": 3, "columns": ["hour"]},
            "metrics": {"auc": 0.75},
            "tags": {"team": "ops"},
        }
        model = changes.pop("model", fitted)
        return registry.log_model(model, effect_id=f"{name}:{effect_id}", **arguments | changes)

    return log_model
