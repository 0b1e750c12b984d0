"""Steps that are killed at a point, and tried again as an orchestrator would."""

from __future__ import annotations

import importlib.util
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_STEPS = Path(__file__).parents[1] / "steps"
for _folder in (Path(__file__).parent, _STEPS / "example", Path(__file__).parents[1] / "lineage"):
    sys.path.append(str(_folder))

import killing  # noqa: E402 - found where the lines above say
from killing import Point  # noqa: E402
from parcels import Season, attempt  # noqa: E402

from backbeat import Outcome, Step, run_step  # noqa: E402

_spec = importlib.util.spec_from_file_location("season_of_parcels", _STEPS / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_seasons = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_seasons)
# the same season that the steps' tests play: making its database takes many seconds
empty, played, season = _seasons.empty, _seasons.played, _seasons.season

_SECONDS = 120
# what a process of ours would spend seconds on importing
_IMPORTED = [
    "backbeat.ledger.sql",
    "backbeat.steps",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandas",
    "psycopg",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.linear_model",
    "skops.io",
    "urllib3",
]


@pytest.fixture(scope="session")
def die() -> Iterator[Callable[..., None]]:
    """Runs a function of `killing` in a process of its own, and sees it die by SIGKILL.

    The processes are forked from one that has the libraries in memory, and has called none.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED)

        def run(function: Callable[..., None], *arguments: Any) -> None:
            process = context.Process(target=function, args=arguments)
            process.start()
            process.join(_SECONDS)
            code = process.exitcode
            process.kill()
            assert code == -signal.SIGKILL, f"{arguments[-1]} was not reached: exit code {code}"

        yield run


class Attempts:
    """Three attempts at one step in one folder: one is killed, one retries, one replays.

    Args:
        die: Runs the first.
        folder: The platform's folder.
        ledger: The ledger's address, where it is not in the folder.
    """

    def __init__(self, die: Callable[..., None], folder: Path, ledger: str | None = None) -> None:
        self._die = die
        self.folder = folder
        self.ledger = ledger

    def killed(self, step: Step, point: Point) -> None:
        """The first attempt: dies at a point."""
        self._die(killing.perform, str(self.folder), self.ledger, step.to_json(), point)

    def performed(self, step: Step, number: int = 2) -> Outcome:
        """A later attempt by the same workflow run, on a platform that knows nothing of others."""
        platform = killing.opened(str(self.folder), self.ledger)
        outcome = run_step(step, attempt(attempt=number), platform)
        (record,) = [found for found in platform.ledger.runs() if found.step == step.to_json()]
        assert record.outcome == outcome.model_dump(mode="json")
        endings = [found.ending for found in platform.ledger.attempts(record.key)]
        assert not {"failed", "denied"} & set(endings)
        assert endings[-1] == outcome.status
        platform.ledger.close()  # type: ignore[attr-defined]
        return outcome

    def replayed(self, step: Step) -> Outcome:
        """The third attempt, which changes nothing: not the outcome and not the world."""
        season = Season(self.folder)
        before = season.stores()
        outcome = self.performed(step, 3)
        after = season.stores()
        for stores in (before, after):
            del stores["ledger"]["finished"]  # its outcome may tell that more was found
        assert after == before
        return outcome


@pytest.fixture
def attempts(die: Callable[..., None], tmp_path: Path) -> Callable[..., Attempts]:
    """Attempts in a season's folder, or in an empty one with a ledger elsewhere."""

    def at(season: Season | None = None, ledger: str | None = None) -> Attempts:
        return Attempts(die, season.folder if season else tmp_path / "platform", ledger)

    return at
