"""Two people open the gate in front of any asset; there is no model in this file."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from dagster_backbeat import FromAsset, signoff_gate, signoff_sensor


@dg.asset(key=["bookings", "unused"], group_name="bookings")
def unused() -> dg.MaterializeResult:
    """The table that nobody has read for a year."""
    return dg.MaterializeResult(metadata={"table": "bookings_2012", "rows": 1204993})


gate = signoff_gate(
    asset="bookings/approved",
    on="bookings/unused",
    subject=FromAsset("bookings/unused", "table", text="Drop the table {}"),
    about={"table": FromAsset("bookings/unused", "table")},
    evidence={"rows": FromAsset("bookings/unused", "rows"), "last_read": "2012-12-31"},
    approvers=["ada", "grace", "mary"],
    quorum=2,
    deadline=timedelta(hours=12),
    group_name="bookings",
)


@dg.asset(key=["bookings", "dropped"], deps=[gate.asset], group_name="bookings")
def dropped() -> dg.MaterializeResult:
    """What must not happen before two people have said so."""
    return dg.MaterializeResult(metadata={"dropped": "bookings_2012"})


job = dg.define_asset_job("two_person_signoff", selection=[unused, gate.asset, dropped])
defs = dg.Definitions(
    assets=[unused, gate.asset, dropped],
    asset_checks=[gate.check],
    jobs=[job],
    sensors=[signoff_sensor(gates=[gate], job=job.name, name="two_people")],
)
