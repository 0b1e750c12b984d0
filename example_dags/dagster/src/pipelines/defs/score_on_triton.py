"""Tomorrow's flights scored by a Triton: a worker that dies costs the requests under way."""

import os

import dagster as dg

from dagster_backbeat import BackbeatResource, inference_asset
from flights import served, settings
from flights.windows import tomorrow

NIGHTS = dg.DailyPartitionsDefinition("2013-01-01", end_date="2014-01-01")

# its pool is the server's, backbeat/127_0_0_1_8000 where nothing else is said
scores = inference_asset(
    asset="late/scores",
    model=os.environ.get("FLIGHTS_LATE", served.LATE),
    data=tomorrow("{{ partition_key }}"),
    output_key="scores/late/{{ add_days(partition_key, 1) }}",
    key=[settings.KEY],
    features=served.ASKED,
    serving=served.LATE_SERVING,
    partitions_def=NIGHTS,
    group_name="late",
    resource_key="late",
)
defs = dg.Definitions(
    assets=[scores],
    jobs=[dg.define_asset_job("score_on_triton", selection=[scores])],
    resources={"late": BackbeatResource(folder=dg.EnvVar("BACKBEAT_FOLDER"), tracking_uri="none")},
)
