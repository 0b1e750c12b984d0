"""Rung 0 inside a task, as its page shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "rung0.md"


@pytest.mark.usefixtures("airflow_database")
def test_the_page_runs_in_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's DAG succeeds with the same results as the plain script."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag

    module, *codes = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (code,) = [each for each in codes if "airflow" in each]
    (tmp_path / "nightly.py").write_text(module)
    (tmp_path / "rung_zero.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    # `dag.test()` looks a DAG's file up in its bundle
    bundle = {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(tmp_path)},
    }
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    monkeypatch.syspath_prepend(tmp_path)
    bag = DagBag(str(tmp_path / "rung_zero.py"))
    assert not bag.import_errors
    for reused in (0, 4):
        run = bag.dags["rung_zero"].test()
        (task,) = run.get_task_instances()
        assert task.state == "success"
        assert task.xcom_pull(task_ids="night") == {
            "drift": "stable",
            "comparison": "better",
            "scored": 2000,
            "reused": reused,
        }
