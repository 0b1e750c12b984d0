"""A code location whose first asset is scored by a remote job; the test says where that is."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

import dagster_backbeat as bb

DAYS = dg.DailyPartitionsDefinition("2013-03-01")
FOLDER = Path(os.environ["SEMANTICS_FOLDER"])

scores = bb.inference_asset(
    asset="scores",
    model=(FOLDER / "address").read_text(),
    data="prompts.parquet",
    output_key="scores/{{ partition_key }}",
    key=["id"],
    serving={"jobs": {"poll_seconds": 0.02}},
    deferrable=True,
    partitions_def=DAYS,
)


@dg.asset(deps=["scores"], partitions_def=DAYS)
def letters() -> None:
    """What is made of the scores."""


defs = dg.Definitions(
    assets=[scores, letters],
    jobs=[dg.define_asset_job("nightly", executor_def=dg.in_process_executor)],
    sensors=[
        bb.job_sensor(assets=["scores"], job="nightly"),
        bb.job_sensor(assets=["scores"], name="jobs_of_assets"),
    ],
    resources={
        "backbeat": bb.BackbeatResource(folder=str(FOLDER), ledger="none", tracking_uri="none")
    },
)
