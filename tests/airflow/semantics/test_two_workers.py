"""Two processes at one piece of work: one performs, and a zombie writes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, update

from backbeat import Platform
from backbeat.kinds import step_from_fields
from backbeat.ledger.tables import runs
from backbeat.ledger.times import to_text
from backbeat.steps import TrainModel
from backbeat_provider.identity import run_identity
from backbeat_provider.operators import TrainModelOperator

pytestmark = pytest.mark.timeout(300)

_LONG_AGO = datetime(2013, 5, 1, tzinfo=UTC)
_ATTEMPT = """
import json, sys
from backbeat import embedded, run_step
from backbeat.errors import BackbeatError
from backbeat.identity import RunIdentity
from backbeat.kinds import step_from_json

told = json.load(sys.stdin)
platform = embedded(told["folder"], ledger=told["ledger"])
try:
    outcome = run_step(
        step_from_json(told["step"]), RunIdentity.model_validate(told["identity"]), platform
    )
except BackbeatError as error:
    print(json.dumps(error.as_json()))
else:
    print(json.dumps(outcome.value))
"""


def test_one_of_two_workers_performs(
    platform: Platform,
    models: Path,
    training: Callable[..., Path],
    context: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    """Two schedulers started one attempt twice: the second is told to come back, and finds it."""
    calls = training(slope=5)
    gate = tmp_path / "gate"
    gate.touch()
    fields = {
        "function": "night_training:fit",
        "data": {"rows": "rows.parquet"},
        "features": ["x"],
        "predict": "predict",
    }
    task = TrainModelOperator(task_id="train", **fields)
    told = {
        "folder": str(models),
        "ledger": str(tmp_path / "ledger.db"),
        "step": step_from_fields(TrainModel, fields).to_json(),
        "identity": run_identity(context(task)).model_dump(mode="json"),
    }
    first = _begin(told, tmp_path / "code")
    _until(calls.exists, "the first worker trains")
    second = _answer(_begin(told, tmp_path / "code"))
    assert (second["error"], second["retryable"]) == ("LeaseHeld", True)
    gate.unlink()
    performed = _answer(first)
    again = _answer(_begin(told, tmp_path / "code"))
    assert performed["reused"] is False
    assert (again["run_id"], again["reused"]) == (performed["run_id"], True)
    assert calls.read_text() == "began ended "


def test_a_zombie_that_wakes_up_writes_nothing(
    start: Callable[..., Any],
    platform: Platform,
    training: Callable[..., Path],
    mlflow_client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the middle, taken over, and awake again: its model and its XCom reach nobody."""
    from airflow.sdk.execution_time import supervisor

    # the whole host hangs: its supervisor does not notice either that the task was given up
    monkeypatch.setattr(supervisor.ActivitySubprocess, "_send_heartbeat_if_needed", lambda _: None)
    # and lives in a thread here, where it cannot listen to signals
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    calls = training(slope=6)
    gate = tmp_path / "gate"
    gate.touch()
    run = start("training")
    run.schedule()
    (ti,) = run.instances("scheduled")
    with _in_background(lambda: run.execute(ti)):
        _until(calls.exists, "the first attempt trains")
        (held,) = platform.ledger.runs()
        zombie = psutil.Process(int(held.owner.rsplit("/", 2)[1]))
        zombie.suspend()
        try:
            _expire(tmp_path / "ledger.db")
            run.report_lost(ti)
            gate.unlink()
            assert run.play() == {"train": "success"}
            won = run.output("train")
            recorded = platform.ledger.runs()
            files, logged = sorted(platform.store.keys("")), _runs(mlflow_client)
        finally:
            gate.unlink(missing_ok=True)
            zombie.resume()
    assert not zombie.is_running()
    assert calls.read_text() == "began began ended ended "  # it was not killed, it went on
    assert run.states() == {"train": "success"}
    assert run.output("train") == won
    assert platform.ledger.runs() == recorded
    assert (sorted(platform.store.keys("")), _runs(mlflow_client)) == (files, logged)
    assert [attempt.ending for attempt in platform.ledger.attempts(held.key)] == ["lost", "done"]


def _begin(told: dict[str, Any], code: Path) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-c", _ATTEMPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(code)},
    )
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(told))
    worker.stdin.close()
    worker.stdin = None
    return worker


def _answer(worker: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = worker.communicate(timeout=120)
    assert worker.returncode == 0
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)


@contextmanager
def _in_background(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(120)
    assert not thread.is_alive()


def _expire(ledger: Path) -> None:
    with create_engine(f"sqlite:///{ledger}", future=True).begin() as database:
        database.execute(update(runs).values(lease_until=to_text(_LONG_AGO)))


def _runs(mlflow_client: Any) -> int:
    experiments = [found.experiment_id for found in mlflow_client.search_experiments()]
    return len(mlflow_client.search_runs(experiments))
