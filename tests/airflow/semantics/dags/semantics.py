"""DAGs for one question each: what happens when a person clears, marks, backfills, or retries."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, task

from backbeat_provider.operators import (
    LogLineageOperator,
    PromoteModelOperator,
    SignoffOperator,
    TrainModelOperator,
)

_AT_ONCE = {"retries": 1, "retry_delay": timedelta(0)}


def _told(name: str, default: str = "") -> str:
    """What the test has written beside the ledger."""
    extra = json.loads(os.environ["AIRFLOW_CONN_BACKBEAT_DEFAULT"])["extra"]
    file = Path(extra["ledger"]).with_name(name)
    return file.read_text() if file.exists() else default


def _conf(name: str) -> str:
    return f"{{{{ dag_run.conf[{name!r}] }}}}"


def _die_once(context: Any, _result: Any) -> None:
    """The step is on record, Airflow knows nothing of it yet: here the process is killed."""
    ti = context["ti"]
    if ti.try_number == 1 and _told("dies") == f"{ti.task_id}{ti.map_index}":
        os.kill(os.getpid(), signal.SIGKILL)


with DAG("training", schedule=None, default_args=_AT_ONCE):
    TrainModelOperator(
        task_id="train",
        function="night_training:fit",
        data={"rows": "rows.parquet"},
        features=["x"],
        predict="predict",
        outlets=[Asset("model")],
        post_execute=_die_once,
    )

with DAG("note", schedule=None, default_args=_AT_ONCE):
    note = LogLineageOperator(
        task_id="note", facts={"rows": "3"}, outlets=[Asset("note")], post_execute=_die_once
    )
    note >> LogLineageOperator(
        task_id="after", facts={"read": "{{ ti.xcom_pull(task_ids='note', key='rows') }}"}
    )

with DAG(
    "promotion",
    schedule="@daily",
    start_date=datetime(2013, 5, 1, tzinfo=UTC),
    catchup=False,
    default_args=_AT_ONCE,
):
    PromoteModelOperator(
        task_id="promote",
        model=_conf("model"),
        version=_conf("version"),
        expected=_conf("expected"),
        in_backfill="{{ dag_run.conf.get('in_backfill', false) }}",
    )

with DAG("signed_promotion", schedule=None, default_args=_AT_ONCE):

    @task
    def measure() -> str:
        """The figure that people are shown."""
        return _told("figure", "0.71")

    asked = SignoffOperator(
        task_id="signoff",
        subject="Promote",
        about={"model": _conf("model"), "version": _conf("version")},
        evidence={"auc": measure()},
        quorum=1,
    )
    asked >> PromoteModelOperator(
        task_id="promote",
        model=_conf("model"),
        version=_conf("version"),
        expected=_conf("expected"),
        request_id="{{ dag_run.conf.get('signed')"
        " or ti.xcom_pull(task_ids='signoff', key='request_id') }}",
    )

with DAG("two_people", schedule=None, default_args=_AT_ONCE):

    @task(task_id="measure")
    def measure_again() -> str:
        """The figure that people are shown."""
        return _told("figure", "0.71")

    SignoffOperator(
        task_id="signoff",
        subject="Promote",
        evidence={"auc": measure_again(), "note": "```\n# <b>Approve</b>"},
        approvers=["ada", "grace", "joan"],
        quorum=2,
    )

with DAG("with_a_form", schedule=None, default_args=_AT_ONCE):
    SignoffOperator(
        task_id="signoff",
        subject="Lend?",
        rules={"stages": [{"name": "desk", "of": ["grace"]}, {"name": "lead", "of": ["joan"]}]},
        shown={"facts": [{"name": "exposure", "value": 1200, "unit": "EUR"}]},
        form={
            "properties": {"limit": {"type": "integer", "minimum": 0, "description": "EUR"}},
            "required": ["limit"],
        },
    )

with DAG("mapped", schedule=None, default_args=_AT_ONCE):

    @task
    def tables() -> list[dict[str, str]]:
        """The tables that there are now."""
        return [{"table": name} for name in _told("tables").split()]

    listed = tables()
    LogLineageOperator.partial(task_id="log", post_execute=_die_once).expand(facts=listed)
    SignoffOperator.partial(task_id="ask", subject="Drop it?", quorum=1).expand(about=listed)
