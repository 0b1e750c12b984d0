"""A deployment of Dagster on a real instance, its code location, and what it leaves behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from pyarrow import parquet as pq

from backbeat import Actor, Platform
from backbeat.ports import RunRecord
from backbeat.registry import MlflowRegistry
from backbeat.signoff import read_request, requests, vote
from dagster_backbeat import BackbeatResource

sys.path.append(str(Path(__file__).parent / "parts"))

from deployment import LOCATION, Dagster
from run_worker import wait_for

PARTS = Path(__file__).parent / "parts"
TRAINING = """
from code_location import meet
from sklearn.linear_model import LogisticRegression

def train(data, params):
    meet("training", "performing")
    rows = data["rows"].to_table().to_pandas()
    return LogisticRegression(C={strength}).fit(rows[["x"]], rows["y"])
"""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A real instance whose launcher leaves the runs to the test's workers."""
    home = tmp_path / "dagster"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    launcher = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    overrides = {
        "run_launcher": launcher,
        "run_coordinator": {
            "module": "dagster._core.run_coordinator",
            "class": "DefaultRunCoordinator",
        },
        "run_retries": {"enabled": True},
    }
    with dg.instance_for_test(temp_dir=str(home), overrides=overrides) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The platform's folder; modules beside it can be imported."""
    made = tmp_path / "platform"
    (made / "faults").mkdir(parents=True)
    monkeypatch.setenv("SEMANTICS_FOLDER", str(made))
    monkeypatch.syspath_prepend(str(tmp_path))
    return made


@pytest.fixture
def dagster(instance: dg.DagsterInstance, folder: Path) -> Iterator[Dagster]:
    """The deployment, with the code location loaded."""
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(
            executable_path=sys.executable,
            python_file=str(PARTS / "code_location.py"),
            working_directory=str(PARTS),
        ),
        location_name=LOCATION,
    )
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as context:
        yield Dagster(instance, context)


@pytest.fixture
def resource(folder: Path) -> BackbeatResource:
    """The code location's platform."""
    return BackbeatResource(folder=str(folder))


@pytest.fixture
def until() -> Callable[..., Any]:
    """Polls until something is true."""
    return wait_for


@pytest.fixture
def fault(folder: Path) -> Callable[..., None]:
    """Asks for a fault."""

    def ask(name: str, moment: str, what: str, times: int = 1) -> None:
        (folder / "faults" / f"{name}.{moment}").write_text(f"{what} {times}")

    return ask


@pytest.fixture
def marks(folder: Path) -> Callable[[str], int]:
    """Counts how often a task has performed."""
    return lambda task: len(list((folder / "store/performed" / task).glob("*")))


@pytest.fixture
def records(platform: Platform) -> Callable[[str], list[RunRecord]]:
    """Reads what the ledger knows of a task, newest first."""

    def of(task: str) -> list[RunRecord]:
        return [item for item in platform.ledger.runs() if item.identity["task"] == task]

    return of


@pytest.fixture
def approve(platform: Platform) -> Callable[..., str]:
    """Lets ada decide a request, the one that is open where none is named."""

    def decide(request_id: str | None = None, choice: Any = "approve") -> str:
        if request_id is None:
            (state,) = requests(platform.ledger, state="open")
        else:
            state = read_request(platform.ledger, request_id)
        vote(
            platform.ledger,
            state.request.request_id,
            choice=choice,
            actor=Actor(id="ada", method="python"),
            evidence_digest=state.request.evidence_digest,
        )
        return state.request.request_id

    return decide


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with the model m in versions 1 to 3; made once."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    address = f"sqlite:///{path}"
    registry = MlflowRegistry(tracking_uri=address)
    registry.ping()
    client = MlflowClient(tracking_uri=address, registry_uri=address)
    client.create_registered_model("m")
    for _ in range(3):
        client.create_model_version("m", source=path.parent.as_uri())
    registry.set_alias("m", "champion", "1")
    return path


@pytest.fixture
def champion(registered: Path, folder: Path, platform: Platform) -> Callable[[], str | None]:
    """Reads which version of m is the champion."""
    shutil.copy(registered, folder / "mlflow.db")
    return lambda: platform.registry.alias("m", "champion")


@pytest.fixture
def code(tmp_path: Path, folder: Path) -> Iterator[Callable[[float], None]]:
    """Writes the training code, over data that has landed."""
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    rows = pa.table({"x": x, "y": (x > 0).astype(int)})
    landed = folder / "store/landing/2013-03-10.parquet"
    landed.parent.mkdir(parents=True)
    pq.write_table(rows, landed)

    def write(strength: float) -> None:
        sys.modules.pop("semantic_training", None)
        (tmp_path / "semantic_training.py").write_text(TRAINING.format(strength=strength))

    yield write
    sys.modules.pop("semantic_training", None)
