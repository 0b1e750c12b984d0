"""A drift check for each model of a file, in a DAG of the user's own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from backbeat.drift.watchlist import read_watchlist
from backbeat_provider.operators.drift_check import DriftCheckOperator

__all__ = ["drift_checks"]


def drift_checks(
    file: str | Path,
    *,
    partition: str = "{{ ds }}",
    only: Collection[str] = (),
    operator: type[DriftCheckOperator] = DriftCheckOperator,
    **arguments: Any,
) -> dict[str, DriftCheckOperator]:
    """Make a task for each model of a file, in the DAG or task group that is being written.

    Args:
        file: See docs/many-models.md; read once, when the DAG file is parsed. Name it from
            `__file__`: Airflow does not parse in the folder of the DAGs.
        partition: The batch's name, a template.
        only: Names of the models that are wanted; all where empty.
        operator: What each task is, such as `DriftGateOperator`.
        arguments: Handed to each task: Airflow's own, `backbeat_conn_id`, `stop_on`, ...

    Returns:
        The tasks by the model's name; a task's id is `drift_<name>`.

    Raises:
        InvalidStep: The file says something wrong; says which model and field.
    """
    found = read_watchlist(file).fields(partition, only=only)
    return {
        name: operator(task_id=f"drift_{name}", **fields, **arguments)
        for name, fields in found.items()
    }
