"""What a team has stays theirs: their training asset, their MLflow, their Great Expectations suite.

Their MLflow server is named once, `MLFLOW_TRACKING_URI`, as their code has always read it. Their
models are pickles, which backbeat refuses to load unless the resource says `allow_pickle=True`.
"""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_backbeat import (
    BackbeatResource,
    FromAsset,
    When,
    candidate_model,
    comparison_check,
    promoted_model,
    quality_checks,
    signoff_gate,
    signoff_sensor,
)
from flights import settings
from flights.windows import compared, tomorrow

NIGHT = "{{ partition_key }}"
MODEL = "punctuality"
WEEKS = dg.WeeklyPartitionsDefinition("2013-03-03", end_date="2014-01-01")
SHAPE: dict[str, Any] = {"partitions_def": WEEKS, "resource_key": "adopt_existing"}

feed = dg.AssetSpec(["punctuality", "feed"], partitions_def=WEEKS, group_name=MODEL)


@dg.asset(
    key=["punctuality", "training"],
    deps=[feed],
    partitions_def=WEEKS,
    group_name=MODEL,
    required_resource_keys={"adopt_existing"},
)
def training(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The team's own code, as it ran before; its metadata is where the candidate is read from."""
    import mlflow
    from pyarrow import dataset

    from backbeat import Dataset
    from flights import training as their_training
    from flights import windows

    landing = Path(context.resources.adopt_existing.folder) / "store"
    night = context.partition_key
    read = {
        "features": Dataset(**windows.trained(night, labels=False)),
        "labels": Dataset(**windows.trained(night, labels=True)),
    }
    data = {
        name: dataset.dataset([str(landing / uri) for uri in window.uris()])
        for name, window in read.items()
    }
    mlflow.set_experiment("punctuality")
    with mlflow.start_run() as run:
        model = their_training.train(data, {"max_iter": 20})
        mlflow.sklearn.log_model(
            model,
            name="model",
            pyfunc_predict_fn="predict_proba",
            serialization_format="cloudpickle",
        )
    through: date = read["labels"].days_covered()[-1]
    return dg.MaterializeResult(
        metadata={"run_id": run.info.run_id, "trained_through": through.isoformat()}
    )


# from here on everything is new, and nothing above had to change for it
quality = quality_checks(
    on="punctuality/feed",
    data=tomorrow(NIGHT),
    context_root=str(Path(__file__).parents[1] / "gx"),
    suite_name="schedule",
    **SHAPE,
)
candidate = candidate_model(
    asset="punctuality/candidate",
    model=MODEL,
    source=FromAsset("punctuality/training", "run_id"),
    trained_through=FromAsset("punctuality/training", "trained_through"),
    tags={"team": "punctuality"},
    group_name=MODEL,
    **SHAPE,
)
VERSION = FromAsset("punctuality/candidate", "version")
comparison = comparison_check(
    asset="punctuality/comparison",
    challenger=FromAsset("punctuality/candidate", "uri"),
    champion=f"models:/{MODEL}@champion",
    data=compared(NIGHT, labels=False),
    labels=compared(NIGHT, labels=True),
    key=settings.KEY,
    label_column=settings.LABEL,
    group_name=MODEL,
    **SHAPE,
)
gate = signoff_gate(
    asset="punctuality/approved",
    on="punctuality/comparison",
    subject=FromAsset("punctuality/candidate", "version", text=f"Promote {MODEL} {{}}"),
    about={"model": MODEL, "version": VERSION},
    evidence=FromAsset("punctuality/comparison"),
    approvers=settings.REVIEWERS,
    when=When("punctuality/comparison", "verdict", ("better", "no_champion")),
    group_name=MODEL,
    **SHAPE,
)
promoted = promoted_model(
    asset="punctuality/promoted",
    model=MODEL,
    version=VERSION,
    expected=FromAsset("punctuality/comparison", "champion_version"),
    request_id=FromAsset("punctuality/approved", "request_id"),
    group_name=MODEL,
    **SHAPE,
)
job = dg.define_asset_job(
    "adopt_existing",
    selection=dg.AssetSelection.assets(training, candidate, comparison, gate.asset, promoted)
    | dg.AssetSelection.checks(quality),
)
defs = dg.Definitions(
    assets=[feed, training, candidate, comparison, gate.asset, promoted],
    asset_checks=[quality, gate.check],
    jobs=[job],
    sensors=[signoff_sensor(gates=[gate], job=job.name, name="punctuality_signoff")],
    resources={
        "adopt_existing": BackbeatResource(
            folder=dg.EnvVar("BACKBEAT_FOLDER"),
            tracking_uri=dg.EnvVar("MLFLOW_TRACKING_URI"),
            allow_pickle=True,
        )
    },
)
