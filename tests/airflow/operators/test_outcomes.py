"""From an outcome or an error of a step to what Airflow does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from backbeat import embedded
from backbeat.errors import LeaseHeld, Unreachable
from backbeat_provider.operators import (
    DriftBranchOperator,
    DriftGateOperator,
    LogLineageOperator,
    PromoteModelOperator,
    QualityCheckOperator,
    RegisterCandidateOperator,
)

Context = Callable[..., dict[str, Any]]


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _table(folder: Path, name: str, distances: list[float]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "store" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"distance": distances}), path)
    return name


def test_done_is_a_flat_versioned_dict(folder: Path, context: Context) -> None:
    """The output is the step's value and its kind, each key an XCom of its own."""
    task = LogLineageOperator(task_id="note", facts={"rows": 3})
    assert task.execute(context(task)) == {"rows": 3, "kind": "lineage.log/v1"}
    assert task.multiple_outputs
    assert task.output["rows"].key == "rows"


def test_the_work_is_on_record_under_airflows_names(folder: Path, context: Context) -> None:
    """The ledger knows the DAG, its run, the task, the try and who triggered it."""
    task = LogLineageOperator(task_id="note", facts={"rows": 3})
    task.execute(context(task, run_type="manual", user="ada"))
    (record,) = embedded(folder).ledger.runs()
    identity = record.identity
    assert (identity["orchestrator"], identity["workflow"]) == ("airflow", "dag")
    assert (identity["run"], identity["task"], identity["attempt"]) == ("manual__1", "note", 1)
    assert identity["actor"] == {"id": "ada", "method": "airflow"}


def test_a_retry_replays_and_a_clear_performs_again(folder: Path, context: Context) -> None:
    """A retry hands the recorded Done out once more; a person's clear is a new piece of work."""
    task = LogLineageOperator(task_id="note", facts={"rows": 3}, retries=1)
    task.execute(context(task))
    assert task.execute(context(task, try_number=2))["rows"] == 3
    ledger = embedded(folder).ledger
    assert [record.token for record in ledger.runs()] == [1]
    task.execute(context(task, try_number=2, max_tries=2))
    assert {record.identity["run"] for record in ledger.runs()} == {"manual__1", "manual__1~1"}


def test_done_tells_the_outlets_version_and_digest(folder: Path, context: Context) -> None:
    """Whoever is scheduled by the asset sees exactly what was made."""
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import OutletEventAccessors

    name = _table(folder, "a.parquet", [1.0])
    asset = Asset("a", uri="file://a")
    task = LogLineageOperator(task_id="note", outputs=[name], outlets=[asset])
    given = context(task)
    given["outlet_events"] = OutletEventAccessors()
    task.execute(given)
    extra = given["outlet_events"][asset].extra
    assert extra["kind"] == "lineage.log/v1"
    assert extra["uri"] == name
    assert extra["digest"].startswith("sha256:")


def test_blocked_fails_without_a_retry_and_shows_the_report(folder: Path, context: Context) -> None:
    """A gate's no is final, says why, and its report can be opened from the task."""
    name = _table(folder, "a.parquet", [1.0, -1.0])
    expectation = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "distance", "min_value": 0},
    }
    task = QualityCheckOperator(
        task_id="quality",
        data=name,
        suite={"name": "distances", "expectations": [expectation]},
    )
    with pytest.raises(AirflowFailException, match=r"quality.check/v1 is blocked: .*distance"):
        task.execute(context(task))
    (link,) = [
        link.get_link(task, ti_key=None)
        for link in task.operator_extra_links
        if link.name == "Report"
    ]
    assert "<html" in Path(link.removeprefix("file://")).read_text()


def test_a_final_error_is_not_retried_and_keeps_its_hint(folder: Path, context: Context) -> None:
    """What a retry cannot help fails at once, with the sentence that says what to do."""
    task = LogLineageOperator(task_id="note", inputs=["landing/none.parquet"])
    with pytest.raises(AirflowFailException, match=r"landing/none.parquet.* Hint: .*will not help"):
        task.execute(context(task))


def test_a_retryable_error_stays_what_it_is(folder: Path, context: Context) -> None:
    """Airflow retries it: a registry that does not answer now may answer later."""
    task = RegisterCandidateOperator(task_id="candidate", model="m", source="0" * 32)
    connection = {"folder": str(folder), "tracking_uri": "http://127.0.0.1:9"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv(
            "AIRFLOW_CONN_BACKBEAT_DEFAULT",
            json.dumps({"conn_type": "backbeat", "extra": connection}),
        )
        with pytest.raises(Unreachable):
            task.execute(context(task))


def test_an_unmet_need_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    """At rung 0 a promotion is refused with the rung that it needs, and no file appears."""
    extra = {"folder": str(tmp_path / "bare"), "ledger": "none"}
    value = json.dumps({"conn_type": "backbeat", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_BACKBEAT_DEFAULT", value)
    task = PromoteModelOperator(task_id="promote", model="flights", version="1")
    with pytest.raises(AirflowFailException, match=r"model.promote/v1 needs a ledger \(rung 1\)"):
        task.execute(context(task))
    assert not (tmp_path / "bare").exists()


@pytest.mark.parametrize("rendered", [None, "", "None", "null"])
def test_a_demanded_signoff_is_never_rendered_away(
    folder: Path, context: Context, rendered: str | None
) -> None:
    """A sign-off that was skipped leaves no request: refused, not promoted without one."""
    task = PromoteModelOperator(
        task_id="promote", model="m", version="1", request_id="{{ ti.xcom_pull('signoff') }}"
    )
    task.request_id = rendered
    with pytest.raises(AirflowFailException, match="a sign-off is demanded and none is named"):
        task.execute(context(task))
    assert not folder.exists()


def test_two_attempts_of_one_piece_of_work_at_once(folder: Path, context: Context) -> None:
    """A zombie and its retry: one performs, the other is told to come back."""
    from backbeat.canonical import digest
    from backbeat.identity import RunIdentity
    from backbeat.kinds import step_from_fields
    from backbeat.ports import Claim
    from backbeat.step import Step
    from backbeat.steps import LogLineage
    from backbeat_provider.identity import run_identity

    task = LogLineageOperator(task_id="note", facts={"rows": 3})
    given = context(task)
    step: Step = step_from_fields(LogLineage, {"facts": {"rows": 3}})
    identity: RunIdentity = run_identity(given)
    scope = {
        "workflow": identity.workflow,
        "run": identity.run,
        "task": identity.task_key,
        "step": step.digest(),
        "inputs": {},
    }
    claim = Claim(
        key=digest(scope),
        kind=step.kind,
        identity=identity,
        step=step.to_json(),
        step_digest=step.digest(),
        inputs={},
        lease_seconds=60,
        replay=True,
        owner="another-host:1:1",
        nonce="zombie",
    )
    embedded(folder).ledger.claim(claim)
    with pytest.raises(LeaseHeld):
        task.execute(given)


def test_two_runs_of_one_night_at_once_are_two_pieces_of_work(
    folder: Path, context: Context
) -> None:
    """Two DAG runs of the same night do not wait for, nor replay, each other."""
    task = LogLineageOperator(task_id="note", facts={"rows": 3})
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            task.execute(context(task, run_id=name))
        except BaseException as error:  # noqa: BLE001 - the test shows whatever it was
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"manual__{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    records = embedded(folder).ledger.runs()
    assert {record.identity["run"] for record in records} == {f"manual__{n}" for n in range(4)}
    assert {record.state for record in records} == {"done"}


@pytest.fixture
def profiled(folder: Path) -> Path:
    """A platform with a profile of a thousand distances, and data that has and has not moved."""
    from pyarrow import dataset

    from backbeat.drift import build_profile

    near = [float(value) for value in range(1000)]
    _table(folder, "near.parquet", near)
    _table(folder, "far.parquet", [value + 900 for value in near])
    profile = build_profile(dataset.dataset(folder / "store" / "near.parquet"))
    (folder / "store" / "profile.json").write_bytes(profile.to_bytes())
    return folder


def test_the_gate_closes_on_drift_and_opens_without(profiled: Path, context: Context) -> None:
    """A drifted verdict stops the workflow for good, a stable one is an output like any other."""
    gate = DriftGateOperator(task_id="gate", current="far.parquet", reference="profile.json")
    with pytest.raises(AirflowFailException, match=r"the drift gate is closed: \w+ \(distance\)"):
        gate.execute(context(gate))
    calm = DriftGateOperator(task_id="gate", current="near.parquet", reference="profile.json")
    assert calm.execute(context(calm))["verdict"] == "stable"


def test_the_branch_follows_the_verdict_and_keeps_its_output(
    profiled: Path, context: Context
) -> None:
    """The other tasks are skipped, and the verdict is still an XCom for those that go on."""
    from airflow.providers.common.compat.sdk import DownstreamTasksSkipped
    from airflow.sdk import DAG

    with DAG("branching", schedule=None):
        branch = DriftBranchOperator(
            task_id="branch",
            current="near.parquet",
            reference="profile.json",
            follow={"drifted": "train", "stable": "score"},
        )
        branch >> [
            LogLineageOperator(task_id="train"),
            LogLineageOperator(task_id="score"),
        ]
    given = context(branch, dag_id="branching")
    with pytest.raises(DownstreamTasksSkipped) as left:
        branch.execute(given)
    assert left.value.tasks == [("train", -1)]
    pushed = given["ti"].pushed
    assert pushed["verdict"] == pushed["return_value"]["verdict"] == "stable"


def test_broken_data_fails_a_branch_unless_it_is_listed(folder: Path, context: Context) -> None:
    """A unit or a schema that changed is no reason to retrain; nothing goes on by default."""
    from pyarrow import dataset

    from backbeat.drift import build_profile

    _table(folder, "near.parquet", [float(value) for value in range(1000)])
    _table(folder, "null.parquet", [None] * 1000)  # type: ignore[list-item]
    profile = build_profile(dataset.dataset(folder / "store" / "near.parquet"))
    (folder / "store" / "profile.json").write_bytes(profile.to_bytes())
    branch = DriftBranchOperator(
        task_id="branch",
        current="null.parquet",
        reference="profile.json",
        follow={"stable": "score"},
    )
    with pytest.raises(AirflowFailException):
        branch.execute(context(branch))
