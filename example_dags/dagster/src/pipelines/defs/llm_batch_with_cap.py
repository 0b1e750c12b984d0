"""A day's remarks sorted by a language model, and no more money spent than was allowed."""

import os

import dagster as dg

from dagster_backbeat import BackbeatResource, inference_asset
from flights import served

DAYS = dg.DailyPartitionsDefinition("2013-01-01", end_date="2014-01-01")


@dg.asset(key=["remarks", "forecast"], partitions_def=DAYS, group_name="remarks")
def forecast(context: dg.AssetExecutionContext, remarks: BackbeatResource) -> dg.MaterializeResult:
    """What the day will take, before one remark is sent."""
    from flights.remarks import forecast as forecast_of

    return dg.MaterializeResult(metadata=forecast_of(remarks.platform.store, context.partition_key))


# At FLIGHTS_MAX_COST it fails without a retry, and what was answered is kept: set it higher,
# reload the code location, and materialize the partition again. The rest is asked.
reasons = inference_asset(
    asset="remarks/reasons",
    model=os.environ.get("FLIGHTS_REASON", served.REASON),
    data={"uri": served.REMARKS, "until": "{{ partition_key }}", "days": 1},
    output_key="reasons/{{ partition_key }}",
    key=["remark_id"],
    serving=served.reason_serving(
        **{
            name: type(cap)(os.environ.get(f"FLIGHTS_{name.upper()}", cap))
            for name, cap in served.CAPS.items()
        }
    ),
    deps=["remarks/forecast"],
    partitions_def=DAYS,
    group_name="remarks",
    resource_key="remarks",
)
defs = dg.Definitions(
    assets=[forecast, reasons],
    jobs=[dg.define_asset_job("llm_batch_with_cap", selection=[forecast, reasons])],
    resources={
        "remarks": BackbeatResource(folder=dg.EnvVar("BACKBEAT_FOLDER"), tracking_uri="none")
    },
)
