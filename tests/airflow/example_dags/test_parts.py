"""Starting and stopping Airflow's parts: what they listen on, and whom a stop may touch."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).parents[3] / "example_dags" / "airflow" / "parts.py"
    spec = importlib.util.spec_from_file_location("parts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "parts", module)
    spec.loader.exec_module(module)
    return module


def _recorded(parts: ModuleType, folder: Path, pid: int, birth: str) -> None:
    (folder / "home").mkdir()
    record = {"url": "", "parts": {"scheduler": [pid, birth]}}
    parts._record(folder).write_text(json.dumps(record))


def test_nothing_listens_beyond_this_machine(parts: ModuleType, tmp_path: Path) -> None:
    """The API answers on the loopback address; the servers for logs are not started at all."""
    settings = parts.environment(tmp_path, 1234)
    hosts = {value for name, value in settings.items() if name.endswith("_HOST")}
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "0.0.0.0" not in hosts  # noqa: S104 - that is the point
    for part in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in parts.PARTS[part]
    assert settings["AIRFLOW__API_AUTH__JWT_SECRET"] != parts.environment(tmp_path, 1234).get(
        "AIRFLOW__API_AUTH__JWT_SECRET"
    )


def test_a_stop_ends_what_was_started(parts: ModuleType, tmp_path: Path) -> None:
    """A recorded process, and all of its session, is gone after a stop."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(sleeper, start_new_session=True)
    _recorded(parts, tmp_path, process.pid, parts._birth(process.pid))
    assert parts.stop(tmp_path) == ["scheduler"]
    process.wait()
    assert not parts._birth(process.pid)
    assert parts.stop(tmp_path) == []


def test_a_stop_spares_a_process_that_took_the_number_over(
    parts: ModuleType, tmp_path: Path
) -> None:
    """After a reboot a recorded process id may be anybody's: its birth tells."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(sleeper, start_new_session=True)
    try:
        _recorded(parts, tmp_path, process.pid, "Thu Jan  1 00:00:00 1970")
        assert parts.stop(tmp_path) == []
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
