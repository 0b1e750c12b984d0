"""A SQLite ledger is refused wherever runs or steps share no disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_plan
from dagster_k8s import k8s_job_executor

from backbeat.errors import UnmetNeed
from dagster_backbeat import (
    BackbeatResource,
    candidate_model,
    lineage_asset,
    model_lifecycle,
    signoff_gate,
    signoff_sensor,
)
from dagster_backbeat.sharing import refuse_unshared_launcher

POSTGRES = "postgresql://ledger.example/backbeat"
HINT = "set `ledger` to postgresql://"
RUNG = "rung 2"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance whose dagster.yaml names the real K8sRunLauncher; no cluster is needed."""
    home = tmp_path / "cluster"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    launcher = {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {
            "service_account_name": "dagster",
            "instance_config_map": "dagster",
            "job_image": "pipelines:1",
            "dagster_home": "/opt/dagster",
        },
    }
    overrides = {"run_launcher": launcher}
    with dg.instance_for_test(temp_dir=str(home), overrides=overrides) as made:
        yield made


@pytest.fixture
def in_pod(instance: dg.DagsterInstance) -> Callable[..., str]:
    """Executes a job's steps as the pod of a step does, and returns the failures' text."""

    def execute(defs: dg.Definitions) -> str:
        job = defs.resolve_job_def("nightly")
        run = instance.create_run_for_job(job)
        events = execute_plan(
            create_execution_plan(job), InMemoryJob(job), instance, dagster_run=run
        )
        return "\n".join(str(event) for event in events if event.is_failure)

    return execute


def _nightly(
    resource: BackbeatResource, asset: Any, executor: dg.ExecutorDefinition | None = None
) -> dg.Definitions:
    return dg.Definitions(
        assets=[asset],
        jobs=[dg.define_asset_job("nightly", executor_def=executor)],
        resources={"backbeat": resource},
    )


@pytest.mark.parametrize("ledger", [None, "ledger.db"], ids=["the default", "a file"])
def test_runs_in_pods_refuse_a_sqlite_ledger(
    tmp_path: Path, cluster: dg.DagsterInstance, ledger: str | None
) -> None:
    """Before anything is done, with the launcher's name, the rung and what to set instead."""
    folder = tmp_path / "platform"
    resource = BackbeatResource(
        folder=str(folder),
        ledger=ledger and str(tmp_path / ledger),
        tracking_uri="none",
    )
    began = []

    @dg.asset
    def own(backbeat: BackbeatResource) -> None:
        began.append(backbeat)

    for asset in (lineage_asset(asset="record"), own):
        job = _nightly(resource, asset).resolve_job_def("nightly")
        with pytest.raises(dg.DagsterResourceFunctionError) as caught:
            job.execute_in_process(instance=cluster)
        refusal = caught.value.__cause__
        assert isinstance(refusal, UnmetNeed)
        assert refusal.message.startswith("K8sRunLauncher runs tasks on several hosts")
        assert HINT in refusal.hint
        assert RUNG in refusal.hint
    assert began == []
    assert not folder.exists()


def test_the_sensor_refuses_it_too(tmp_path: Path, cluster: dg.DagsterInstance) -> None:
    """The daemon's look runs in a third pod, with a ledger of its own: it says so and stops."""
    resource = BackbeatResource(folder=str(tmp_path), tracking_uri="none")
    gate = signoff_gate(asset="approved", on="record", subject="Ship it")
    sensor = signoff_sensor(gates=[gate], job="nightly")
    context = dg.build_sensor_context(instance=cluster, resources={"backbeat": resource})
    with pytest.raises(dg.DagsterResourceFunctionError) as caught, context:
        sensor.evaluate_tick(context)
    assert isinstance(caught.value.__cause__, UnmetNeed)


@pytest.mark.parametrize("ledger", [POSTGRES, "https://ledger.example", "none"])
def test_a_shared_ledger_is_let_through(
    tmp_path: Path, cluster: dg.DagsterInstance, ledger: str
) -> None:
    """PostgreSQL, a served ledger and no ledger are the same in every pod."""
    resource = BackbeatResource(folder=str(tmp_path), ledger=ledger, tracking_uri="none")
    refuse_unshared_launcher(resource.settings, cluster)


def test_mlflows_sqlite_file_is_refused_as_well(
    tmp_path: Path, cluster: dg.DagsterInstance
) -> None:
    """Each pod would have a registry of its own, with another champion."""
    resource = BackbeatResource(folder=str(tmp_path), ledger=POSTGRES)
    with pytest.raises(UnmetNeed, match="cannot share MLflow's SQLite file"):
        refuse_unshared_launcher(resource.settings, cluster)


@pytest.mark.parametrize(
    "executor",
    [k8s_job_executor, k8s_job_executor.configured({"job_image": "pipelines:1"}, name="pods")],
    ids=["as it is", "configured under another name"],
)
def test_steps_in_pods_refuse_it_at_their_first_line(
    tmp_path: Path, in_pod: Any, executor: dg.ExecutorDefinition
) -> None:
    """The run shares a disk with the daemon, its steps do not: refused before the user's code."""
    resource = BackbeatResource(folder=str(tmp_path / "platform"))
    began: list[Any] = []
    candidate = candidate_model(asset="candidate", model="m", source=began.append)
    said = in_pod(_nightly(resource, candidate, executor))
    assert f"the executor '{executor.name}' runs tasks on several hosts" in said
    assert HINT in said
    assert began == []
    assert not (tmp_path / "platform").exists()


def test_a_disk_of_one_host_is_let_through(tmp_path: Path, in_pod: Any) -> None:
    """Processes of one host share it, as the multiprocess executor's do."""
    resource = BackbeatResource(folder=str(tmp_path), tracking_uri="none")
    asset = lineage_asset(asset="record", facts={"rows": 1})
    assert in_pod(_nightly(resource, asset, dg.multiprocess_executor)) == ""
    assert (tmp_path / "ledger.db").exists()


def _lifecycle(resource: BackbeatResource) -> dg.Definitions:
    return model_lifecycle(
        model="tiny",
        backbeat=resource,
        partitions_def=dg.DailyPartitionsDefinition("2013-03-01"),
        landed="landed",
        data="d",
        context_root="gx",
        suite_name="s",
        current="d",
        source="r",
        trained="d",
        compared="d",
        labels="d",
        key="id",
        label_column="y",
        scores="s",
        executor=k8s_job_executor,
    )


def test_a_lifecycle_refuses_it_when_definitions_load(tmp_path: Path) -> None:
    """Executor and platform are both known there; what an `EnvVar` will say is left to the run."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="SQLite ledger") as caught:
        _lifecycle(BackbeatResource(folder=str(tmp_path)))
    assert HINT in str(caught.value)
    later = dg.EnvVar("LEDGER")
    assert _lifecycle(
        BackbeatResource(folder=str(tmp_path), ledger=later, tracking_uri="https://mlflow.example")
    )
