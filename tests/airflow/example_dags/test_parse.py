"""The example DAGs parse, are light, and say what they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[3] / "example_dags" / "airflow"
NAMES = {
    *("adopt_existing", "drift_only", "llm_batch_with_cap"),
    *("nightly_retraining", "score_on_triton", "two_person_signoff"),
}


def test_all_of_them_parse(bag: Any) -> None:
    """No import error, no DAG missing, and the programs beside them are no DAG files."""
    assert bag.import_errors == {}
    assert set(bag.dags) == NAMES


def test_the_nightly_graph(bag: Any) -> None:
    """What follows what, as DESIGN's job has it."""
    dag = bag.dags["nightly_retraining"]
    edges = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert edges["quality"] == {"drift"}
    assert edges["drift"] == {"train", "score"}
    assert {"profile", "compare"} <= edges["candidate"]
    assert "compare" in edges["profile"]
    assert edges["decide"] == {"signoff", "score"}
    assert {"promote"} == edges["signoff"]
    assert edges["promote"] == {"score"}
    assert edges["score"] == set()
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_every_dag_can_be_serialized(bag: Any) -> None:
    """The scheduler and the pages see DAGs as JSON: templates, outputs and links included."""
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialized
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import SerializedDAG as Serialized
    for dag in bag.dags.values():
        back = Serialized.from_dict(Serialized.to_dict(dag))
        assert {task.task_id for task in back.tasks} == {task.task_id for task in dag.tasks}


def test_parsing_loads_nothing_heavy() -> None:
    """A DAG processor that parses the examples imports no library of data or models."""
    heavy = ("numpy", "pandas", "pyarrow", "mlflow", "great_expectations", "sklearn", "scipy")
    code = (
        "import sys\n"
        "import airflow.sdk\n"
        "from airflow.sdk import DAG, Param, dag, task\n"
        "before = set(sys.modules)\n"
        f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "import nightly_retraining, drift_only, two_person_signoff\n"
        "import llm_batch_with_cap, score_on_triton\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        f"print(sorted(new & {set(heavy)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr
