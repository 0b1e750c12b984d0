"""Tomorrow's flights scored by a Triton: a worker that dies costs the requests under way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from backbeat_provider.operators import BatchInferenceOperator
from flights import served, settings
from flights.windows import tomorrow

with DAG(
    "score_on_triton",
    schedule="@daily",
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["backbeat", "flights"],
    doc_md="""
    Each answer is kept before its place is given to another request, so a retry asks the server
    for the rest. The variable `flights_late` is the model's address.
    """,
):
    BatchInferenceOperator(
        task_id="score",
        model=f"{{{{ var.value.get('flights_late', '{served.LATE}') }}}}",
        data=tomorrow("{{ ds }}"),
        output_key="scores/late/{{ macros.ds_add(ds, 1) }}",
        key=(settings.KEY,),
        features=served.ASKED,
        serving=served.LATE_SERVING,
    )
