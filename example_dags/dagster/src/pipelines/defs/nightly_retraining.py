"""Will a flight arrive late? Every night: checked, watched, retrained, signed off, scored."""

from __future__ import annotations

import os

import dagster as dg

from dagster_backbeat import BackbeatResource, Training, model_lifecycle
from flights import settings
from flights.windows import compared, drifting, tomorrow, trained

NIGHT = "{{ partition_key }}"
NIGHTS = dg.DailyPartitionsDefinition("2013-01-01", end_date="2014-01-01")

# whoever has a bucket, a PostgreSQL or an MLflow server names it in the environment
SERVICES = {
    name: dg.EnvVar(f"BACKBEAT_{name.upper()}")
    for name in ("store", "ledger", "tracking_uri")
    if os.environ.get(f"BACKBEAT_{name.upper()}")
}

# a night needs the libraries once: in its one process, or in the one that its steps are forked from
ONE_PROCESS = dg.in_process_executor
EACH_STEP_APART = dg.multiprocess_executor.configured(
    {
        "start_method": {
            "forkserver": {
                "preload_modules": [
                    "dagster",
                    "great_expectations",
                    "mlflow.sklearn",
                    "pyarrow.dataset",
                    "sklearn.ensemble",
                    "skops.io",
                ]
            }
        }
    }
)

# the data platform lands the files; Dagster only knows of them
landed = dg.AssetSpec(["flights", "landed"], partitions_def=NIGHTS, group_name="flights")

defs = dg.Definitions.merge(
    dg.Definitions(assets=[landed]),
    model_lifecycle(
        model=settings.MODEL,
        backbeat=BackbeatResource(folder=dg.EnvVar("BACKBEAT_FOLDER"), **SERVICES),
        partitions_def=NIGHTS,
        landed="flights/landed",
        data=tomorrow(NIGHT),
        suite={"name": settings.MODEL, "expectations": settings.SUITE},
        current=drifting(NIGHT),
        drift_columns=settings.DRIFT_COLUMNS,
        effect_floor=settings.DRIFT_FLOOR,
        source=Training(
            function=settings.TRAIN,
            data={"features": trained(NIGHT, labels=False), "labels": trained(NIGHT, labels=True)},
            features=settings.FEATURES,
            train_params=settings.TRAIN_PARAMS,
            experiment=settings.MODEL,
        ),
        trained=trained(NIGHT, labels=False),
        compared=compared(NIGHT, labels=False),
        labels=compared(NIGHT, labels=True),
        key=settings.KEY,
        label_column=settings.LABEL,
        groups=settings.GROUPS,
        metric=settings.METRIC,
        approvers=settings.REVIEWERS,
        quorum=2,
        scores=f"scores/{settings.MODEL}/{{{{ add_days(partition_key, 1) }}}}",
        features=settings.FEATURES,
        shard_rows=settings.SHARD_ROWS,
        retry_policy=dg.RetryPolicy(
            max_retries=int(os.environ.get("FLIGHTS_RETRIES", "3")), delay=5
        ),
        executor=EACH_STEP_APART if os.environ.get("FLIGHTS_MULTIPROCESS") else ONE_PROCESS,
        sensor_seconds=3,
    ),
)
