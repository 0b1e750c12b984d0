"""Rung 0: a drift gate in ten lines, with a folder and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from backbeat_provider.operators import BuildProfileOperator, DriftGateOperator

# The connection needs a folder, and `none` says that nothing is to be operated beside it:
# AIRFLOW_CONN_DRIFT_ONLY='{"conn_type": "backbeat",
#   "extra": {"folder": "/srv/drift", "ledger": "none", "tracking_uri": "none"}}'
WEEK = {"uri": "landing/schedule/{day}.parquet", "until": "{{ ds }}", "days": 7}

with DAG(
    "drift_only",
    schedule="@daily",
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"backbeat_conn_id": "drift_only"},
    tags=["backbeat", "flights"],
):
    last_month = {**WEEK, "shift": -7, "days": 28}
    profile = BuildProfileOperator(
        task_id="profile", data=last_month, output_key="profiles/{{ ds }}.json"
    )
    gate = DriftGateOperator(
        task_id="drift", current=WEEK, reference=profile.output["profile"], columns=["carrier"]
    )
