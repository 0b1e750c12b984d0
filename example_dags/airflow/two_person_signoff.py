"""Two people open the gate in front of any task; there is no model in this DAG."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag, task

from backbeat_provider.operators import SignoffOperator


@dag(
    schedule=None,
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    params={"table": Param("bookings_2012", type="string", description="Table to drop.")},
    tags=["backbeat"],
    doc_md="Whoever triggers the run cannot approve it: `four_eyes` is on when two must agree.",
)
def two_person_signoff() -> None:
    """Ask two people, then do it."""
    signoff = SignoffOperator(
        task_id="signoff",
        subject="Drop the table {{ params.table }}",
        about={"table": "{{ params.table }}"},
        evidence={"last_read": "2012-12-31", "rows": 1204993},
        approvers=["ada", "grace", "mary"],
        quorum=2,
        deadline=timedelta(hours=12),
    )

    @task
    def drop(table: str, by: list[str]) -> str:
        return f"{table} was dropped, approved by {' and '.join(by)}"

    drop(table=signoff.output["table"], by=signoff.output["by"])


two_person_signoff()
