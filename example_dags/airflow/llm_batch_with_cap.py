"""A day's remarks sorted by a language model, and no more money spent than was allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task

from backbeat_provider.operators import BatchInferenceOperator
from flights import served


@dag(
    schedule="@daily",
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["backbeat", "flights"],
    doc_md="""
    1. **forecast** says what the day will take, before one remark is sent.
    2. **sort** asks about each remark once. More remarks than the variable `flights_max_calls` are
       refused before the first call. At the variable `flights_max_cost` it ends without a retry;
       what was answered is kept. Raise the variable and clear the task: the rest is asked.

    The variable `flights_reason` is the model's address, the connection `flights_llm` (or
    BACKBEAT_CREDENTIALS_FLIGHTS_LLM) the key.
    """,
)
def llm_batch_with_cap() -> None:
    """Forecast, then ask."""

    @task
    def forecast(day: str) -> dict[str, float]:
        from backbeat_provider.hooks.backbeat import BackbeatHook
        from flights import remarks

        return remarks.forecast(BackbeatHook().get_conn().store, day)

    sort = BatchInferenceOperator(
        task_id="sort",
        model=f"{{{{ var.value.get('flights_reason', '{served.REASON}') }}}}",
        data={"uri": served.REMARKS, "until": "{{ ds }}", "days": 1},
        output_key="reasons/{{ ds }}",
        key=("remark_id",),
        serving=served.reason_serving(
            **{
                name: f"{{{{ var.value.get('flights_{name}', '{cap}') }}}}"
                for name, cap in served.CAPS.items()
            }
        ),
    )
    forecast("{{ ds }}") >> sort


llm_batch_with_cap()
