"""`score_on_triton` on both orchestrators: a real Triton, and a worker that is killed on the way.

`python play_inference.py [airflow] [dagster]`, from .venv-core; needs `make servers SERVERS=triton`
and the environments of the orchestrators. Each of them scores a table of a month's flights, is
ended with SIGKILL when a third is scored, and runs again. Triton's own count of rows says what was
asked twice.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backbeat import Platform, embedded
from backbeat.inference import read_scores
from flights import features, served, settings
from flights.source import read

ROOT = Path(__file__).parents[1]
# what starts a Triton, and the model that it serves: a logistic function of four numbers
sys.path.insert(0, str(ROOT / "tests" / "servers"))

NIGHT = date(2013, 5, 4)
TOMORROW = NIGHT + timedelta(days=1)
DAYS = 30
_SECONDS = 150

_AIRFLOW = """
import os, sys
from datetime import UTC, datetime
from airflow.utils.db import initdb
if not os.path.exists(os.environ["AIRFLOW_HOME"] + "/airflow.db"):
    initdb()
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["score_on_triton"]
run = dag.test(logical_date=datetime.fromisoformat(sys.argv[1]).replace(tzinfo=UTC))
sys.exit(str(run.state) != "success")
"""
_DAGSTER = """
import sys
import dagster as dg
from pipelines.defs.score_on_triton import defs
with dg.DagsterInstance.get() as instance:
    job = defs.resolve_job_def("score_on_triton")
    job.execute_in_process(instance=instance, partition_key=sys.argv[1])
"""


class Worker:
    """A worker of an orchestrator, in a process of its own.

    Args:
        name: `airflow` or `dagster`.
        folder: Where its platform and its own things lie.
        address: The model's.
    """

    def __init__(self, name: str, folder: Path, address: str) -> None:
        home = folder / "home"
        home.mkdir(parents=True)
        self.platform: Platform = embedded(folder)
        self._log = folder / "worker.log"
        self._command = [
            str(ROOT / f".venv-{name}" / "bin" / "python"),
            *("-c", _AIRFLOW if name == "airflow" else _DAGSTER, NIGHT.isoformat()),
        ]
        connection = {"conn_type": "backbeat", "extra": {"folder": str(folder)}}
        self._settings = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_BACKBEAT_DEFAULT": json.dumps(connection),
            "AIRFLOW_VAR_FLIGHTS_LATE": address,
            "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(16).hex(),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags" / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "BACKBEAT_FOLDER": str(folder),
            "DAGSTER_HOME": str(home),
            "FLIGHTS_LATE": address,
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Let it score the night."""
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the program is ours
                self._command,
                env={**os.environ, **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def failed(self, why: str) -> RuntimeError:
        """An error with the end of what it printed."""
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
        return RuntimeError(f"the worker {why}; the end of {self._log}:\n{tail}")


def land(platform: Platform) -> pa.Table:
    """Land a month's flights as tomorrow's, so that there is time for a kill."""
    days = [TOMORROW + count * timedelta(days=1) for count in range(DAYS)]
    table = pa.concat_tables([table for _, table in features.schedules(read(), days)])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    platform.store.write(settings.SCHEDULE.format(day=TOMORROW.isoformat()), bytes(sink.getvalue()))
    return table


def rows_asked(address: str) -> int:
    """How many rows Triton has answered, as it counts them itself."""
    url = f"{address.partition('+')[2]}/stats"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
        return int(json.load(answer)["model_stats"][0]["inference_count"])


def play(name: str, folder: Path, address: str) -> bool:
    """Play it on one orchestrator; whether all is as it must be."""
    import models

    worker = Worker(name, folder, address)
    table = land(worker.platform)
    size = served.LATE_SERVING["request_rows"]
    most = served.LATE_SERVING["resilience"]["in_flight"] * size
    begun = rows_asked(address)
    first = worker.start()
    end = time.monotonic() + _SECONDS
    try:
        while rows_asked(address) - begun < len(table) / 3:
            if first.poll() is not None or time.monotonic() > end:
                raise worker.failed("did not come to a third of the table")
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)
    finally:
        first.kill()
        first.wait()
    killed = rows_asked(address) - begun
    print(f"{name}: killed with SIGKILL after {killed} of {len(table)} rows", flush=True)
    second = worker.start()
    try:
        if second.wait(_SECONDS):
            raise worker.failed(f"ended with {second.returncode}")
    finally:
        second.kill()
        second.wait()
    twice = rows_asked(address) - begun - len(table)
    scores = read_scores(worker.platform.store, f"scores/late/{TOMORROW}")
    keys = scores[settings.KEY].to_pylist() == table[settings.KEY].to_pylist()
    asked = table.select(served.ASKED).to_pandas().to_numpy(dtype="float64")
    # the last bit of a sum depends on how many rows are multiplied at a time
    good = keys and np.allclose(scores["score"].to_numpy(), models.score(asked), rtol=1e-9, atol=0)
    print(f"{name}: each row once, in order: {good}; asked twice: {twice} rows, at most {most}")
    return bool(good and 0 <= twice <= most)


def main() -> int:
    """Play; 0 where no row is missing, wrong or double, and no more was asked twice than may be."""
    import triton_server

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="backbeat-inference-") as name:
        triton = triton_server.start(Path(name) / "triton")
        try:
            address = triton.addresses["binary"]
            print(f"Triton answers at {address}", flush=True)
            good = [play(each, Path(name) / each, address) for each in _asked()]
        finally:
            triton.stop()
    print(f"played in {time.monotonic() - began:.0f} s")
    return 0 if all(good) else 1


def _asked() -> list[str]:
    known = ["airflow", "dagster"]
    given = sys.argv[1:] or known
    if set(given) - {*known}:
        raise SystemExit(f"play one of {', '.join(known)}, or both")
    return given


if __name__ == "__main__":
    sys.exit(main())
