"""A code location whose steps leave a mark each time they perform, and break where a test asks.

A test puts a file into `faults/`: `<name>.<moment>` with `kill`, `stop` or an error's name, and how
often.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg

from backbeat import Done, Step, errors, run_step
from backbeat.ports import Need
from backbeat.step import Outcome, StepContext
from backbeat.steps import TrainModel
from dagster_backbeat import (
    BackbeatResource,
    FromAsset,
    promoted_model,
    signoff_gate,
    signoff_sensor,
)
from dagster_backbeat.identity import run_identity
from dagster_backbeat.outcome import StepRun
from dagster_backbeat.step_asset import asset_of

DAYS = dg.DailyPartitionsDefinition("2013-03-01")
CITIES = dg.DynamicPartitionsDefinition(name="cities")
LEASE_SECONDS = 3.0
HOLD_SECONDS = 120.0


def folder() -> Path:
    """The platform's folder in this test: the code is loaded once for all of them."""
    return Path(os.environ["SEMANTICS_FOLDER"])


def meet(name: str, moment: str) -> None:
    """Break here, where a test has asked for it."""
    path = folder() / "faults" / f"{name}.{moment}"
    if not path.exists():
        return
    fault, _, times = path.read_text().partition(" ")
    left = int(times or 1) - 1
    if left:
        path.write_text(f"{fault} {left}")
    else:
        path.unlink()
    if fault in {"kill", "stop"}:
        os.kill(os.getpid(), signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
        return
    if fault == "hold":
        (folder() / "held").touch()
        until = time.monotonic() + HOLD_SECONDS
        while not (folder() / "go").exists() and time.monotonic() < until:
            time.sleep(0.05)
        return
    error = getattr(errors, fault, None)
    if error is None:
        raise ValueError(fault)
    raise error(f"{name} met {fault}", retry_after=0.001 if error.retryable else None)


class Stamp(Step):
    """Leaves a mark whenever it performs."""

    kind: ClassVar[str] = "test.stamp/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE})

    name: str

    def perform(self, ctx: StepContext) -> Outcome:
        """Leave the mark; the effect itself has the name of the work."""
        meet(self.name, "performing")
        ctx.store.create(f"performed/{ctx.identity.task_key}/{uuid.uuid4().hex}", b"")
        effect = ctx.effect_id("stamp").removeprefix("sha256:")
        ctx.store.create(f"stamps/{effect}", b"stamped")
        return Done(value={"name": self.name, "run": ctx.identity.run})


def performed_in(run: StepRun, step: Step) -> Outcome:
    """Go through the door with a short lease."""
    outcome = run_step(step, run.identity, run.platform, lease_seconds=LEASE_SECONDS)
    meet(run.task, "finished")
    return outcome


def stamped(name: str, deps: Sequence[str] = (), partitions_def: Any = DAYS) -> dg.AssetsDefinition:
    """An asset that is one stamp."""
    return asset_of(
        lambda run: performed_in(run, Stamp(name=name)),
        asset=name,
        kind="stamp",
        description=None,
        refers_to=None,
        deps=deps,
        when=None,
        partitions_def=partitions_def,
        group_name=None,
        resource_key="backbeat",
    )


training = {
    "function": "semantic_training:train",
    "data": {"rows": "landing/{{ partition_key }}.parquet"},
    "features": ["x"],
}
trained = asset_of(
    lambda run: performed_in(run, run.step(TrainModel, training)),
    asset="trained",
    kind="mlflow",
    description=None,
    refers_to=training,
    deps=(),
    when=None,
    partitions_def=DAYS,
    group_name=None,
    resource_key="backbeat",
)


@dg.op(out=dg.DynamicOut(), required_resource_keys={"backbeat"})
def listed() -> Any:
    """The cities that a test has written down."""
    for name in (folder() / "cities").read_text().split():
        yield dg.DynamicOutput(name, mapping_key=name)


@dg.op(required_resource_keys={"backbeat"})
def visit(context, city: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """One stamp a city, from a user's own op."""
    run_step(
        Stamp(name="visit"),
        run_identity(context, task="visit"),
        context.resources.backbeat.platform,
    )
    meet(city, "finished")


@dg.job(executor_def=dg.in_process_executor)
def journey() -> None:
    """A visit of each city."""
    listed().map(visit)


@dg.asset(partitions_def=DAYS)
def table() -> dg.MaterializeResult:
    """A user's own asset: which version is the candidate, and which one it was compared with."""
    path = folder() / "candidate"
    version = path.read_text() if path.exists() else "2"
    return dg.MaterializeResult(metadata={"version": version, "before": "1"})


gate = signoff_gate(
    asset="approved",
    on="table",
    subject=FromAsset("table", "version", text="Promote m {}"),
    about={"model": "m", "version": FromAsset("table", "version")},
    evidence=FromAsset("table"),
    quorum=1,
    partitions_def=DAYS,
)
promoted = promoted_model(
    asset="promoted",
    model="m",
    version=FromAsset("table", "version"),
    expected=FromAsset("table", "before"),
    request_id=FromAsset("approved", "request_id"),
    partitions_def=DAYS,
)
unasked = promoted_model(asset="unasked", model="m", version="2", expected="1", partitions_def=DAYS)
replayed = promoted_model(
    asset="replayed",
    model="m",
    version="2",
    expected="1",
    in_backfill=True,
    partitions_def=DAYS,
)

retried = dg.RetryPolicy(max_retries=2, delay=0)
defs = dg.Definitions(
    assets=[
        *(stamped("first"), stamped("second", ["first"]), stamped("visited", (), CITIES)),
        *(trained, table, gate.asset, promoted, unasked, replayed),
        stamped("announced", ["promoted"]),
    ],
    asset_checks=[gate.check],
    jobs=[
        dg.define_asset_job(
            "nightly", selection=["first", "second"], executor_def=dg.in_process_executor
        ),
        dg.define_asset_job(
            "apart",
            selection=["first", "second"],
            executor_def=dg.multiprocess_executor,
            op_retry_policy=retried,
        ),
        dg.define_asset_job("training", selection=["trained"], executor_def=dg.in_process_executor),
        dg.define_asset_job("cities", selection=["visited"], executor_def=dg.in_process_executor),
        dg.define_asset_job(
            "gated",
            selection=dg.AssetSelection.assets("table", "approved", "promoted", "announced"),
            executor_def=dg.in_process_executor,
            op_retry_policy=retried,
        ),
        journey,
    ],
    sensors=[
        signoff_sensor(gates=[gate], job="gated", minimum_interval_seconds=1),
        signoff_sensor(gates=[gate], name="signoff_assets", minimum_interval_seconds=1),
    ],
    resources={"backbeat": BackbeatResource(folder=dg.EnvVar("SEMANTICS_FOLDER"))},
    executor=dg.in_process_executor,
)
