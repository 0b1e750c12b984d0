"""Models in this process, asked as those that are served: one client, one kind of answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from backbeat.errors import (
    Conflict,
    ContractBroken,
    InvalidAnswer,
    InvalidStep,
    NotFound,
    Refused,
    UnmetNeed,
    Unreachable,
    UserCodeFailed,
)
from backbeat.inference import InferenceClient, Prediction, connect
from backbeat.inference.address import parse_address
from backbeat.inference.local_transport import LocalTransport
from backbeat.inference.outputs import outputs_of
from backbeat.registry import MlflowRegistry
from backbeat.registry.model_files import write_model

SAMPLE = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [1.0, 0.0, 1.0]})


@pytest.fixture(scope="session")
def fitted() -> Any:
    """Twice x."""
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(SAMPLE, SAMPLE["x"] * 2)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, fitted: Any) -> MlflowRegistry:
    """A real registry with two versions of `double`, the second one its champion."""
    folder = tmp_path_factory.mktemp("registry")
    found = MlflowRegistry(
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", artifact_root=(folder / "a").as_uri()
    )
    for effect in ("first", "second"):
        run = found.log_model(
            fitted,
            effect_id=effect,
            experiment="e",
            predict="predict",
            sample=SAMPLE,
            params={},
            metrics={},
            tags={},
        )
        found.register("double", source=run, effect_id=effect, tags={})
    found.set_alias("double", "champion", "2")
    return found


@pytest.fixture
def folder(tmp_path: Path, fitted: Any) -> Path:
    """The same model as a folder that MLflow has saved."""
    write_model(fitted, tmp_path / "a model", predict="predict", sample=SAMPLE, allow_pickle=False)
    return tmp_path / "a model"


def rows(*xs: float) -> pa.RecordBatch:
    """Rows of both columns."""
    return pa.record_batch({"x": list(xs), "y": [0.0] * len(xs)})


def ask(address: str, batch: pa.RecordBatch, **given: Any) -> Prediction:
    """One prediction, by a client of its own."""

    async def run() -> Prediction:
        async with connect(address, **given) as client:
            assert await client.ready(seconds=60)
            return await client.predict(batch)

    return asyncio.run(run())


def test_a_registered_model_answers_as_a_served_one(registry: MlflowRegistry) -> None:
    """Its answer says which version the alias meant, and what was asked."""
    found = ask("models:/double@champion", rows(1, 2), registry=lambda: registry)
    assert found.outputs.schema.names == ["prediction"]
    assert found.outputs.column(0).to_pylist() == pytest.approx([2, 4])
    origin = found.provenance
    assert (origin.model, origin.version, origin.attempts) == ("double", "2", 1)
    assert origin.address == "models:/double@champion"
    assert origin.input_digest.startswith("sha256:")


def test_another_version_than_asked_for_is_a_conflict(registry: MlflowRegistry) -> None:
    """As with a server."""
    with pytest.raises(Conflict, match="Version 2"):
        ask("models:/double@champion", rows(1), registry=lambda: registry, version="1")


def test_the_plain_client_finds_the_registry_that_mlflow_would(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By MLflow's own variable; without it the error says so."""

    async def run() -> list[Any]:
        async with InferenceClient("models:/double/1") as client:
            found: list[Any] = (await client.predict(rows(3))).outputs.column(0).to_pylist()
            return found

    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.where)
    assert asyncio.run(run()) == pytest.approx([6])
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(UnmetNeed, match="MLFLOW_TRACKING_URI is not set"):
        asyncio.run(run())


def test_a_folder_is_a_model_too(folder: Path) -> None:
    """Its version is what its files hold."""
    first = ask(folder.as_uri(), rows(1))
    assert first.outputs.column(0).to_pylist() == pytest.approx([2])
    assert ask(folder.as_uri(), rows(1)).provenance.version == first.provenance.version
    (folder / "MLmodel").write_text((folder / "MLmodel").read_text() + "\n# another one\n")
    assert ask(folder.as_uri(), rows(1)).provenance.version != first.provenance.version


def test_a_pickle_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    """A folder's author could have put any code into it."""
    import mlflow.sklearn
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(SAMPLE, SAMPLE["x"])
    mlflow.sklearn.save_model(
        model, str(tmp_path / "m"), serialization_format="cloudpickle", pip_requirements=[]
    )
    for file in (tmp_path / "m").glob("*.pkl"):
        file.write_bytes(b"cos\nabort\n(tR.")
    with pytest.raises(Refused, match="loading it could run any code"):
        ask((tmp_path / "m").as_uri(), rows(1))


def test_rows_of_other_columns_are_refused_before_the_model_is_asked(folder: Path) -> None:
    """What it was trained on is declared with it."""
    with pytest.raises(ContractBroken, match="takes 'y', and the rows have no such column"):
        ask(folder.as_uri(), pa.record_batch({"x": [1.0]}))


@pytest.mark.parametrize("address", ["file:///", "file://host/m", "file:///m?x=1", "models:/m"])
def test_what_names_no_model_is_told(address: str) -> None:
    """Before anything is opened."""
    with pytest.raises(InvalidStep):
        parse_address(address)


def test_what_is_not_there_is_told(tmp_path: Path, registry: MlflowRegistry) -> None:
    """Once: a retry cannot help."""
    with pytest.raises(NotFound, match="no folder with an MLmodel file"):
        ask(tmp_path.as_uri(), rows(1))
    with pytest.raises(NotFound, match="does not exist"):
        ask("models:/double/7", rows(1), registry=lambda: registry)


class _Registry:
    """A registry with one model of the test's own."""

    def __init__(self, predict: Callable[[Any], Any]) -> None:
        self._predict = predict
        self.columns = None

    def resolve(self, uri: str) -> Any:
        from backbeat.ports import ModelVersion

        return ModelVersion(name="m", version="1", uri="models:/m/1")

    def load(self, uri: str) -> Any:
        return self

    def predict(self, frame: Any) -> Any:
        return self._predict(frame)


def test_a_model_that_raises_shows_no_rows() -> None:
    """Its text may quote them; its class is told."""

    def broken(frame: Any) -> Any:
        raise ValueError(f"cannot score {frame['x'].tolist()}")

    with pytest.raises(UserCodeFailed, match="raised ValueError") as caught:
        ask("models:/m/1", rows(31415.0), registry=lambda: _Registry(broken))
    assert "31415" not in str(caught.value)


def test_one_request_at_a_time_reaches_the_model_and_the_loop_goes_on() -> None:
    """Many callers wait for one thread, and none of them for the event loop."""
    inside, most, threads = 0, 0, set()
    entered, released = threading.Event(), threading.Event()

    def slow(frame: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threads.add(threading.get_ident())
        entered.set()
        released.wait(10)
        inside -= 1
        return frame["x"].to_numpy()

    async def run() -> list[Prediction]:
        async with connect("models:/m/1", registry=lambda: _Registry(slow)) as client:
            asked = [asyncio.ensure_future(client.predict(rows(x))) for x in range(5)]
            # the loop is free to wait while the model works
            assert await asyncio.to_thread(entered.wait, 10)
            released.set()
            return await asyncio.gather(*asked)

    answers = asyncio.run(run())
    assert [found.outputs.column(0)[0].as_py() for found in answers] == [0, 1, 2, 3, 4]
    assert most == 1
    assert threads != {threading.get_ident()}


def test_a_model_that_takes_too_long_is_not_waited_for() -> None:
    """The deadline holds; what the thread does ends by itself."""
    released = threading.Event()

    def stuck(frame: Any) -> Any:
        released.wait(10)
        return frame["x"].to_numpy()

    async def run() -> None:
        endpoint = parse_address("models:/m/1")
        transport = LocalTransport(endpoint, registry=lambda: _Registry(stuck))
        async with InferenceClient("models:/m/1", transport=transport) as client:
            await client.describe()
            try:
                with pytest.raises(Unreachable, match="did not answer within"):
                    await client.predict(rows(1), seconds=0.1)
            finally:
                released.set()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("prediction", "found"),
    [
        (np.array([1, 2]), {"prediction": [1, 2]}),
        (np.array([[0.1, 0.9], [0.5, 0.5]]), {"prediction": [[0.1, 0.9], [0.5, 0.5]]}),
        (np.array(["a", "b"]), {"prediction": ["a", "b"]}),
        (np.array(["a", None], dtype=object), {"prediction": ["a", None]}),
        (pd.Series([1.5, 2.5]), {"prediction": [1.5, 2.5]}),
        (pd.DataFrame({"s": [1, 2], "l": ["a", "b"]}), {"s": [1, 2], "l": ["a", "b"]}),
        ([1.0, 2.0], {"prediction": [1.0, 2.0]}),
        ([{"s": 1}, {"s": 2}], {"s": [1, 2]}),
        ({"s": np.array([1, 2])}, {"s": [1, 2]}),
    ],
)
def test_whatever_a_model_gives_becomes_columns(prediction: Any, found: Any) -> None:
    """As the answer of a server that gives the same."""
    assert outputs_of(parse_address("models:/m/1"), prediction, 2).to_pydict() == found


@pytest.mark.parametrize(
    "prediction", [np.array([1]), np.array(1), [1.0], pd.DataFrame({"s": [1, 2, 3]}), 7]
)
def test_another_number_of_rows_is_told(prediction: Any) -> None:
    """One prediction a row, or none at all."""
    with pytest.raises(InvalidAnswer, match="models:/m/1"):
        outputs_of(parse_address("models:/m/1"), prediction, 2)
