"""What the provider adds to Airflow: to its import, and to parsing the example DAGs.

Every figure is the median over fresh processes. `DagBag` parses the four example DAGs, and beside
them the same DAGs with every operator replaced by EmptyOperator.
"""

from __future__ import annotations

import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 5
DAGS = ROOT / "example_dags" / "airflow"

# a full collection of Airflow's own heap takes 100 ms: it must not fall into one window by chance
IMPORT = """
import gc, time
from airflow.sdk import DAG, BaseOperator
from airflow.providers.standard.operators.empty import EmptyOperator
gc.collect()
start = time.perf_counter()
import backbeat_provider.operators as operators
for name in operators.__all__:
    getattr(operators, name)
print((time.perf_counter() - start) * 1000)
"""

PARSE = """
import gc, sys, time, warnings, logging
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
from airflow.sdk import DAG, BaseOperator, task
from airflow.providers.standard.operators.empty import EmptyOperator
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
gc.collect()
start = time.perf_counter()
bag = DagBag(sys.argv[1])
took = (time.perf_counter() - start) * 1000
assert not bag.import_errors, bag.import_errors
assert len(bag.dags) == 4, sorted(bag.dags)
print(took)
"""

# the same graph of the same task ids, so that only the operators differ
EMPTY = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
import pendulum
for name, edges in {graph!r}.items():
    with DAG(name, schedule="@daily", start_date=pendulum.datetime(2013, 1, 1, tz="UTC")) as dag:
        tasks = {{task: EmptyOperator(task_id=task) for task in edges}}
        for task, downstream in edges.items():
            for other in downstream:
                tasks[task] >> tasks[other]
    globals()[name] = dag
"""

GRAPH = """
import sys, json, warnings, logging
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps({d: {t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks}
                  for d, dag in bag.dags.items()}))
"""


def main() -> None:
    """Measure, print a table for people, then a JSON line a figure."""
    for source in ("src", "airflow_provider/src", "example_dags"):
        compileall.compile_dir(ROOT / source, quiet=1)  # as pip does when it installs
    with tempfile.TemporaryDirectory() as home:
        env = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=env,
            check=True,
            capture_output=True,
        )
        dags = _dag_files(Path(home) / "ours")
        graph = json.loads(_last(GRAPH, str(dags), env=env))
        empty = Path(home) / "empty"
        empty.mkdir()
        (empty / "empty.py").write_text(EMPTY.format(graph=graph))
        # alternating, so that a machine that slows down slows both
        imports, ours, bare = [], [], []
        for _ in range(RUNS):
            imports.append(float(_last(IMPORT, env=env)))
            ours.append(float(_last(PARSE, str(dags), env=env)))
            bare.append(float(_last(PARSE, str(empty), env=env)))
    _report("provider import on top of Airflow's", statistics.median(imports), "ms", target=100)
    _report("DagBag of the example DAGs", statistics.median(ours), "ms")
    _report("DagBag of the same DAGs, empty operators", statistics.median(bare), "ms")
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    _report("ratio of the two", statistics.median(ratios), "x")


def _dag_files(folder: Path) -> Path:
    folder.mkdir()
    for name in ("nightly_retraining", "drift_only", "two_person_signoff", "adopt_existing"):
        (folder / f"{name}.py").symlink_to(DAGS / f"{name}.py")
    return folder


def _last(code: str, *arguments: str, env: dict[str, str]) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.strip().splitlines()[-1]


def _report(figure: str, value: float, unit: str, target: float | None = None) -> None:
    ok = None if target is None else value < target
    print(f"{figure:<45} {value:>9.2f} {unit}" + (f"   target < {target}" if target else ""))
    line = {"figure": figure, "value": round(value, 3), "unit": unit, "target": target, "ok": ok}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
