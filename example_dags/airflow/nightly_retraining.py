"""Every night: check, look for drift, retrain where it is worth it, ask people, promote, score."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task

from backbeat_provider.operators import (
    BatchInferenceOperator,
    BuildProfileOperator,
    CompareModelsOperator,
    DriftBranchOperator,
    PromoteModelOperator,
    QualityCheckOperator,
    RegisterCandidateOperator,
    SignoffOperator,
    TrainModelOperator,
)
from flights import settings
from flights.windows import compared, drifting, tomorrow, trained

NIGHT = "{{ ds }}"
CHAMPION = f"models:/{settings.MODEL}@champion"


@dag(
    schedule="@daily",
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["backbeat", "flights"],
    doc_md="""
    ### Will a flight arrive late?

    On night N the schedule of N+1 has landed and the labels of N-1 have arrived.

    1. **quality** stops the night where the data is broken, scoring included.
    2. **drift** decides whether a retraining is worth it; a quiet night goes straight to **score**.
    3. **train**, **candidate**, **profile**, **compare**: a challenger, judged on days that neither
       model has seen.
    4. **signoff** waits for two people, without a worker slot; **promote** moves the alias.
    5. **score** scores tomorrow's flights with the champion, each row once.

    Runs on the connection `backbeat_default`.
    """,
)
def nightly_retraining() -> None:
    """The graph; its order is in the last lines."""
    quality = QualityCheckOperator(
        task_id="quality",
        data=tomorrow(NIGHT),
        suite={"name": settings.MODEL, "expectations": settings.SUITE},
    )
    drift = DriftBranchOperator(
        task_id="drift",
        current=drifting(NIGHT),
        reference=CHAMPION,
        columns=settings.DRIFT_COLUMNS,
        effect_floor=settings.DRIFT_FLOOR,
        follow={
            "drifted": "train",
            "no_reference": "train",
            "stable": "score",
            "insufficient_data": "score",
        },
    )
    train = TrainModelOperator(
        task_id="train",
        function=settings.TRAIN,
        data={"features": trained(NIGHT, labels=False), "labels": trained(NIGHT, labels=True)},
        features=settings.FEATURES,
        train_params=settings.TRAIN_PARAMS,
        experiment=settings.MODEL,
    )
    candidate = RegisterCandidateOperator(
        task_id="candidate",
        model=settings.MODEL,
        source=train.output["model_uri"],
        trained_through=train.output["trained_through"],
    )
    version = candidate.output["version"]
    profile = BuildProfileOperator(
        task_id="profile",
        data=trained(NIGHT, labels=False),
        output_key=f"profiles/{settings.MODEL}/{version}.json",
        columns=settings.DRIFT_COLUMNS,
        model=candidate.output["uri"],
    )
    compare = CompareModelsOperator(
        task_id="compare",
        challenger=candidate.output["uri"],
        champion=CHAMPION,
        data=compared(NIGHT, labels=False),
        labels=compared(NIGHT, labels=True),
        key=settings.KEY,
        label_column=settings.LABEL,
        groups=settings.GROUPS,
        metric=settings.METRIC,
    )

    @task.branch
    def decide(verdict: str) -> str:
        return "score" if verdict == "not_better" else "signoff"

    signoff = SignoffOperator(
        task_id="signoff",
        subject=f"Promote {settings.MODEL} {version}",
        about={"model": settings.MODEL, "version": version},
        evidence=compare.output,
        approvers=settings.REVIEWERS,
        quorum=2,
    )
    promote = PromoteModelOperator(
        task_id="promote",
        model=settings.MODEL,
        version=version,
        expected=compare.output["champion_version"],
        request_id=signoff.output["request_id"],
    )
    score = BatchInferenceOperator(
        task_id="score",
        model=CHAMPION,
        data=tomorrow(NIGHT),
        output_key=f"scores/{settings.MODEL}/{{{{ macros.ds_add(ds, 1) }}}}",
        key=(settings.KEY,),
        features=settings.FEATURES,
        shard_rows=settings.SHARD_ROWS,
        # after a promotion, or when there was nothing to promote; never after a failure
        trigger_rule="none_failed_min_one_success",
    )

    decision = decide(compare.output["verdict"])
    quality >> drift >> [train, score]
    candidate >> profile >> compare
    decision >> [signoff, score]
    promote >> score


nightly_retraining()
