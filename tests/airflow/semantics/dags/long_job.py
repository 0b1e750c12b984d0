"""A table that is scored by a remote job, waited for in the triggerer or in the worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from backbeat_provider.operators import BatchInferenceOperator


def _scoring(*, deferrable: bool) -> None:
    fields: dict[str, Any] = {
        "model": "{{ dag_run.conf['model'] }}",
        "data": "{{ dag_run.conf['data'] }}",
        "output_key": "{{ dag_run.conf['output'] }}",
        "key": ["id"],
        "serving": {"jobs": {"poll_seconds": 0.1}},
    }
    BatchInferenceOperator(
        task_id="score",
        deferrable=deferrable,
        retries=1,
        retry_delay=timedelta(0),
        **fields,
    )


with DAG("long_job", schedule=None):
    _scoring(deferrable=True)

with DAG("long_job_in_worker", schedule=None):
    _scoring(deferrable=False)
