"""Will a parcel arrive late? Small made-up days, the training of a model, and a whole season.

Steps import the training functions by their path, as they would a team's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import Actor, Outcome, Platform, RunIdentity, Step, embedded, run_step
from backbeat.errors import BackbeatError
from backbeat.kinds import step_from_json

DAYS = tuple(date(2024, 5, 1) + timedelta(days=number) for number in range(6))
FEATURES = ("weight_kg", "distance_km", "hour", "depot")
ROWS = 800
MODEL = "parcels"
CHAMPION = f"models:/{MODEL}@champion"


def schedule(day: date, *, rows: int = ROWS, seed: int | None = None) -> pa.Table:
    """One day's parcels as they are known in the morning."""
    random = np.random.default_rng(day.toordinal() if seed is None else seed)
    return pa.table(
        {
            "parcel_id": pa.array(day.toordinal() * 1000 + np.arange(rows), pa.int64()),
            "weight_kg": random.gamma(2.0, 3.0, rows),
            "distance_km": random.uniform(1.0, 400.0, rows),
            "hour": pa.array(random.integers(6, 22, rows), pa.int64()),
            "depot": pa.array(random.choice(["north", "south", "harbour"], rows), pa.string()),
        }
    )


def outcomes(day: date) -> pa.Table:
    """Which of the day's parcels were late: the far ones that left in the evening, mostly."""
    random = np.random.default_rng(day.toordinal() + 1)
    known = schedule(day)
    strain = known["distance_km"].to_numpy() / 200 + known["hour"].to_numpy() / 10 - 2.5
    late = random.uniform(size=ROWS) < 1 / (1 + np.exp(-3 * strain))
    return pa.table({"parcel_id": known["parcel_id"], "late": pa.array(late, pa.int64())})


def train(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A logistic regression on the parcels whose outcome is known."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from backbeat.training import Trained

    known = data["features"].to_table().join(data["labels"].to_table(), "parcel_id")
    frame = known.sort_by("parcel_id").to_pandas()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["depot"]),
        (StandardScaler(), ["weight_kg", "distance_km", "hour"]),
    )
    model = make_pipeline(columns, LogisticRegression(C=float(params.get("C", 1.0))))
    model.fit(frame[list(FEATURES)], frame["late"])
    return Trained(model, metrics={"rows": len(frame)}, params={"solver": "lbfgs"})


def train_and_raise(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A function with a mistake in it."""
    raise ZeroDivisionError("no parcels an hour")


def train_nothing(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A function that forgot its return statement."""


def train_unfitted(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A function that forgot to fit."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def train_three_classes(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A model that gives three numbers a row, which is no score."""
    from sklearn.dummy import DummyClassifier

    frame = data["features"].to_table().to_pandas()
    return DummyClassifier().fit(frame[list(FEATURES)], frame["depot"])


def train_regressor(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A model without `predict_proba`."""
    from sklearn.dummy import DummyRegressor

    frame = data["features"].to_table().to_pandas()
    return DummyRegressor().fit(frame[list(FEATURES)], frame["hour"])


def train_pickled(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A model that could only be kept as a pickle, which can run code."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    frame = data["features"].to_table().to_pandas()
    numbers = FunctionTransformer(lambda rows: rows[["hour"]])
    return make_pipeline(numbers, LogisticRegression()).fit(
        frame[list(FEATURES)], (frame["hour"] > 12).astype(int)
    )


def train_when_told(data: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """Says that it trains, and goes on once a line comes in: two processes can be made to meet."""
    sys.stdout.write("training\n")
    sys.stdout.flush()
    sys.stdin.readline()
    return train(data, params)


def step(kind: str, **fields: Any) -> Step:
    """A step from its JSON, as a file or an orchestrator gives it."""
    return step_from_json({"kind": f"{kind}/v1", **fields})


def quality(data: Any, **fields: Any) -> Step:
    """Checks that no parcel weighs less than nothing."""
    heavier = {"column": "weight_kg", "min_value": 0}
    expected = [{"type": "expect_column_values_to_be_between", "kwargs": heavier}]
    suite = {"name": "parcels", "expectations": expected}
    return step("quality.check", data=data, **{"suite": suite, **fields})


def profile(data: Any, **fields: Any) -> Step:
    """Profiles the features."""
    known = {"output_key": "profiles/new.json", "columns": list(FEATURES)}
    return step("drift.profile", data=data, **{**known, **fields})


def drift(current: Any, **fields: Any) -> Step:
    """Compares with the profile of the champion."""
    return step("drift.check", current=current, **{"reference": CHAMPION, **fields})


def training(features: Any, **fields: Any) -> Step:
    """Trains on some features and the labels of the first day."""
    known = {
        "function": "parcels:train",
        "data": {"features": features, "labels": f"landing/late/{DAYS[0]}.parquet"},
        "features": list(FEATURES),
    }
    return step("model.train", **{**known, **fields})


def comparison(data: Any = None, labels: Any = None, **fields: Any) -> Step:
    """Compares the challenger with the champion on the fourth day."""
    known = {
        "challenger": f"models:/{MODEL}/2",
        "champion": CHAMPION,
        "data": data or {"uri": "landing/parcels/{day}.parquet", "until": "2024-05-04"},
        "labels": labels or {"uri": "landing/late/{day}.parquet", "until": "2024-05-04"},
        "key": "parcel_id",
        "label_column": "late",
        "samples": 200,
    }
    return step("model.compare", **{**known, **fields})


def scoring(data: Any, **fields: Any) -> Step:
    """Scores with the champion."""
    known = {
        "model": CHAMPION,
        "output_key": "scores/new",
        "key": ["parcel_id"],
        "features": list(FEATURES),
        "shard_rows": 300,
    }
    return step("inference.batch", data=data, **{**known, **fields})


def promotion(version: str = "2", **fields: Any) -> Step:
    """Points the champion's alias at a version, as seen from version 1."""
    return step("model.promote", model=MODEL, version=version, **{"expected": "1", **fields})


def documented_value(kind: type[Step]) -> set[str]:
    """The names that a step's docstring promises in its value."""
    said = (inspect.getdoc(kind) or "").partition("Value:")[2].partition("\n\n")[0]
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", said)))


@dataclass
class Season:
    """A platform in a folder, and the attempts that run on it.

    Args:
        folder: The platform's folder.
        platform: The platform; nobody drains its outbox behind a test's back.
    """

    folder: Path
    platform: Platform = field(init=False)

    def __post_init__(self) -> None:
        self.platform = embedded(self.folder)
        self.platform.sinks = {}

    def run(self, step: Step, *, run: str = "night-1", task: str = "step", **who: Any) -> Outcome:
        """Perform a step through the door."""
        return run_step(step, attempt(run=run, task=task, **who), self.platform)

    def land(self, key: str, table: pa.Table) -> str:
        """Write a table as a data platform would; returns its key."""
        path = self.folder / "store" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return key

    def land_bytes(self, key: str, content: bytes) -> str:
        """Write anything at all under a name that promises Parquet; returns its key."""
        path = self.folder / "store" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return key

    def stores(self) -> dict[str, Any]:
        """What the store, the ledger and MLflow hold, read without backbeat's own code."""
        return {
            "store": files(self.folder / "store"),
            "ledger": _rows(self.folder / "ledger.db", _LEDGER),
            "mlflow": _rows(self.folder / "mlflow.db", _MLFLOW),
            "artifacts": files(self.folder / "artifacts"),
        }

    def versions(self) -> list[tuple[Any, ...]]:
        """Name and number of every registered version."""
        return _rows(self.folder / "mlflow.db", _MLFLOW)["model_versions"]

    def ended(self, state: str) -> list[str]:
        """Kinds of the work that ended in a state."""
        return [record.kind for record in self.platform.ledger.runs(state=state)]

    def copy_to(self, folder: Path) -> Season:
        """A season of its own with the same content; MLflow's absolute paths are moved along."""
        shutil.copytree(self.folder, folder)
        old, new = str(self.folder), str(folder)
        with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
            for table, column in _PATHS:
                moved = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608
                database.execute(moved, (old, new))
        return Season(folder)


def built_once(
    factory: pytest.TempPathFactory,
    name: str,
    build: Callable[[Season], None],
    copied_from: Season | None = None,
) -> Season:
    """A season that the first worker of a test run builds and the others find."""
    base = factory.getbasetemp()
    # the workers of pytest-xdist have folders of their own inside one that they share
    base = base.parent if base.name.startswith("popen-") else base
    folder = base / f"season-{name}"
    with (base / f"season-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / f"season-{name}.built").exists():
            made = Season(folder) if copied_from is None else copied_from.copy_to(folder)
            build(made)
            made.platform.ledger.close()  # type: ignore[attr-defined] # its file is whole then
            (base / f"season-{name}.built").touch()
    return Season(folder)


def attempt(**fields: Any) -> RunIdentity:
    """The identity of an attempt by a scheduler; anything can be said otherwise."""
    known = {
        "workflow": "nightly",
        "run": "night-1",
        "task": "step",
        "actor": Actor(id="scheduler", method="system"),
    }
    return RunIdentity.model_validate({**known, **fields})


def files(folder: Path) -> dict[str, str]:
    """Every file under a folder with the digest of its bytes."""
    return {
        Path(root, name).relative_to(folder).as_posix(): hashlib.sha256(
            Path(root, name).read_bytes()
        ).hexdigest()
        for root, _, names in os.walk(folder)
        for name in names
    }


_LEDGER = {
    "finished": "SELECT key, state, outcome FROM backbeat_runs WHERE state NOT IN "
    "('failed', 'denied')",
    "streams": "SELECT stream, state, version FROM backbeat_streams",
    "events": "SELECT stream, version, kind, body FROM backbeat_events",
    "locks": "SELECT name FROM backbeat_locks",
}
_MLFLOW = {
    "experiments": "SELECT name FROM experiments",
    "runs": "SELECT run_uuid, status FROM runs",
    "logged_models": "SELECT model_id, status FROM logged_models",
    "registered_models": "SELECT name FROM registered_models",
    "model_versions": "SELECT name, version FROM model_versions",
    "version_tags": "SELECT name, version, key, value FROM model_version_tags",
    "aliases": "SELECT name, alias, version FROM registered_model_aliases",
}
_PATHS: Sequence[tuple[str, str]] = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def _rows(database: Path, queries: Mapping[str, str]) -> dict[str, list[tuple[Any, ...]]]:
    if not database.exists():
        return {}
    with closing(sqlite3.connect(database)) as connection:
        return {name: sorted(connection.execute(query)) for name, query in queries.items()}


@contextmanager
def nothing_changes(season: Season) -> Iterator[None]:
    """The store, the ledger's finished work and MLflow are byte for byte what they were."""
    before = season.stores()
    yield
    assert season.stores() == before


def failure(season: Season, task: Step, kind: type[BackbeatError], **who: Any) -> BackbeatError:
    """The error that a step ends in, which changes nothing."""
    with nothing_changes(season), pytest.raises(kind) as caught:
        season.run(task, **who)
    assert type(caught.value) is kind
    assert caught.value.hint
    return caught.value
