"""What a team has stays theirs: their training task, their MLflow, their Great Expectations suite.

Their MLflow server is named twice: `MLFLOW_TRACKING_URI`, as their code has always read it, and as
the connection's `tracking_uri`. Their models are pickles, which backbeat refuses to load unless the
connection says `"allow_pickle": true`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import Param, dag, task

from backbeat_provider.operators import (
    CompareModelsOperator,
    PromoteModelOperator,
    QualityCheckOperator,
    SignoffOperator,
)
from flights import settings
from flights.windows import compared, tomorrow

NIGHT = "{{ ds }}"
MODEL = "punctuality"


@dag(
    schedule="@weekly",
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "backbeat_conn_id": "adopt_existing",
    },
    params={"landing": Param("/srv/backbeat/store", type="string", description="Feed's folder.")},
    tags=["backbeat", "flights"],
    doc_md=__doc__,
)
def adopt_existing() -> None:
    """Only what stands around the training is new."""
    quality = QualityCheckOperator(
        task_id="quality",
        data=tomorrow(NIGHT),
        context_root=str(Path(__file__).with_name("gx")),
        suite_name="schedule",
    )

    @task.candidate(model=MODEL, tags={"team": "punctuality"})
    def train(landing: str, ds: str) -> dict[str, str]:
        """The team's own code, as it ran before, down to the last line."""
        import mlflow
        from pyarrow import dataset

        from backbeat import Dataset
        from flights import training, windows

        windows_read = {
            "features": Dataset(**windows.trained(ds, labels=False)),
            "labels": Dataset(**windows.trained(ds, labels=True)),
        }
        data = {
            name: dataset.dataset([f"{landing}/{uri}" for uri in window.uris()])
            for name, window in windows_read.items()
        }
        mlflow.set_experiment("punctuality")
        with mlflow.start_run() as run:
            model = training.train(data, {"max_iter": 20})
            mlflow.sklearn.log_model(
                model,
                name="model",
                pyfunc_predict_fn="predict_proba",
                serialization_format="cloudpickle",
            )
        through = windows_read["labels"].days_covered()[-1]
        return {"source": run.info.run_id, "trained_through": through.isoformat()}

    candidate = train(landing="{{ params.landing }}", ds=NIGHT)
    version = candidate["version"]
    compare = CompareModelsOperator(
        task_id="compare",
        challenger=candidate["uri"],
        champion=f"models:/{MODEL}@champion",
        data=compared(NIGHT, labels=False),
        labels=compared(NIGHT, labels=True),
        key=settings.KEY,
        label_column=settings.LABEL,
    )

    @task.short_circuit
    def worth_asking(verdict: str) -> bool:
        return verdict != "not_better"

    signoff = SignoffOperator(
        task_id="signoff",
        subject=f"Promote {MODEL} {version}",
        about={"model": MODEL, "version": version},
        evidence=compare.output,
        approvers=settings.REVIEWERS,
    )
    promote = PromoteModelOperator(
        task_id="promote",
        model=MODEL,
        version=version,
        expected=compare.output["champion_version"],
        request_id=signoff.output["request_id"],
    )

    quality >> candidate
    worth_asking(compare.output["verdict"]) >> signoff >> promote


adopt_existing()
