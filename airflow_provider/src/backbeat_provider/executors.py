"""Which of Airflow's executors run tasks on hosts that share no disk."""

from __future__ import annotations

import os
import re

try:
    from airflow.providers.common.compat.sdk import conf
except ImportError:  # Airflow 3.1
    from airflow.configuration import conf

__all__ = ["spreading_executor"]

# what providers bring (Celery, Kubernetes, Edge, ECS, Batch, ...) starts tasks elsewhere; of an
# executor of one's own only the name says so
_ELSEWHERE = re.compile(r"celery|kubernetes|^airflow\.providers\.", re.IGNORECASE)
# such a pod or container is often told that its executor is the LocalExecutor
_INSIDE = {
    "AIRFLOW_IS_K8S_EXECUTOR_POD": "KubernetesExecutor",
    "AIRFLOW_IS_EXECUTOR_CONTAINER": "an executor of containers",
}


def spreading_executor() -> str | None:
    """The first configured executor that spreads tasks over hosts; None where all stay on this one.

    `[core] executor` is read as text, with its teams, lists, aliases and class paths: no executor
    is imported. One of several is enough, for any task may be given to it.
    """
    for variable, executor in _INSIDE.items():
        if os.environ.get(variable):
            return executor
    for entry in re.split(r"[,;=]", conf.get("core", "executor", fallback="")):
        executor = entry.rpartition(":")[2].strip()
        if _ELSEWHERE.search(executor):
            return executor.rpartition(".")[2]
    return None
