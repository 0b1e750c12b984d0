"""The example DAGs, parsed once as Airflow parses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[3] / "example_dags" / "airflow"


@pytest.fixture(scope="session")
def bag(airflow_database: None) -> Any:
    """Every DAG of the examples."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag
    return DagBag(str(EXAMPLES))
