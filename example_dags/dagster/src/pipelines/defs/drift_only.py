"""Rung 0: a drift verdict every day, with a folder and nothing else."""

from __future__ import annotations

import dagster as dg

from dagster_backbeat import BackbeatResource, FromAsset, drift_check, profile_asset

WEEK = {"uri": "landing/schedule/{day}.parquet", "until": "{{ partition_key }}", "days": 7}
LAST_MONTH = {**WEEK, "shift": -7, "days": 28}
DAYS = dg.DailyPartitionsDefinition("2013-02-10", end_date="2014-01-01")

profile = profile_asset(
    asset="drift_only/profile",
    data=LAST_MONTH,
    output_key="profiles/{{ partition_key }}.json",
    partitions_def=DAYS,
    resource_key="drift_only",
)
drift = drift_check(
    asset="drift_only/drift",
    current=WEEK,
    reference=FromAsset("drift_only/profile", "profile"),
    columns=["carrier"],
    partitions_def=DAYS,
    resource_key="drift_only",
)
defs = dg.Definitions(
    assets=[profile, drift],
    jobs=[dg.define_asset_job("drift_only", selection=[profile, drift])],
    resources={
        # `none` says that nothing is to be operated beside the folder
        "drift_only": BackbeatResource(
            folder=dg.EnvVar("BACKBEAT_FOLDER"), ledger="none", tracking_uri="none"
        )
    },
)
