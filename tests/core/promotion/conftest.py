"""A real MLflow registry with three versions of one model; its empty database is made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.registry import MlflowRegistry

pytest.importorskip("mlflow", reason='pip install "backbeat[mlflow]"')


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with the model m in versions 1, 2 and 3."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowRegistry(tracking_uri=f"sqlite:///{path}").ping()
    client = MlflowClient(tracking_uri=f"sqlite:///{path}", registry_uri=f"sqlite:///{path}")
    client.create_registered_model("m")
    for _ in range(3):
        client.create_model_version("m", source=path.parent.as_uri())
    return path


@pytest.fixture
def mlflow_file(mlflow_template: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copy(mlflow_template, tmp_path / "mlflow.db"))


@pytest.fixture
def open_registry(mlflow_file: Path) -> Callable[[], Any]:
    """Opens the registry anew, as another worker would."""
    return lambda: MlflowRegistry(tracking_uri=f"sqlite:///{mlflow_file}")


@pytest.fixture
def registry(open_registry: Callable[[], Any]) -> Any:
    """The registry, with version 1 as champion."""
    opened = open_registry()
    opened.set_alias("m", "champion", "1")
    return opened
