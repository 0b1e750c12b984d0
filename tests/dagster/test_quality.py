"""One asset check for each expectation, from one run of the suite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import dagster_backbeat as bb

PAGE = Path(__file__).parents[2] / "docs" / "quality.md"
SUITE = {
    "name": "landed",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "max_value": 2},
        },
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "max_value": 9},
        },
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
    ],
}
NAMES = [
    "quality__not_be_null__x",
    "quality__be_between__x",
    "quality__be_between__x__n2",
    "quality__row_count_to_be_between",
]


@pytest.fixture
def backbeat(tmp_path: Path) -> bb.BackbeatResource:
    """A platform with a landed table whose x is 1, 2 and 3."""
    path = tmp_path / "platform/store/landed.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1, 2, 3]}), path)
    return bb.BackbeatResource(folder=str(tmp_path / "platform"))


def suite(*severities: str) -> dict[str, Any]:
    """A suite whose second expectation, which fails, and others have such severities."""
    expected = [dict(item) for item in SUITE["expectations"]]
    for item, severity in zip(expected, severities, strict=False):
        item["severity"] = severity
    return {"name": "landed", "expectations": expected}


def made(found: Any) -> set[str]:
    """The assets that were materialized."""
    return {event.asset_key.to_user_string() for event in found.get_asset_materialization_events()}


def play(backbeat: bb.BackbeatResource, instance: Any, *checks: str, **fields: Any) -> Any:
    """Runs the asset, its checks, and what lies behind it."""

    @dg.asset
    def landed() -> None:
        """The table."""

    @dg.asset(deps=[landed])
    def behind() -> None:
        """What must not start on bad data."""

    fields = {"data": "landed.parquet", "suite": SUITE, **fields}
    quality = bb.quality_checks(on="landed", **fields)
    defs = dg.Definitions(
        assets=[landed, behind], asset_checks=[quality], resources={"backbeat": backbeat}
    )
    selection = None
    if checks:
        keys = [dg.AssetCheckKey(dg.AssetKey("landed"), name) for name in checks]
        selection = dg.AssetSelection.checks(*keys)
    job = dg.define_asset_job("job", selection=selection or dg.AssetSelection.all())
    defs = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    return defs.resolve_job_def("job").execute_in_process(instance=instance, raise_on_error=False)


def test_each_expectation_has_a_check_and_a_failure_stops_what_lies_behind(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance
) -> None:
    """Three pass, one fails with its counts; the suite was run once."""
    found = play(backbeat, instance)
    checks = {check.check_name: check for check in found.get_asset_check_evaluations()}
    assert list(checks) == NAMES
    assert [check.passed for check in checks.values()] == [True, False, True, True]
    failed = checks["quality__be_between__x"]
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert failed.metadata["unexpected_count"].value == 1
    assert failed.metadata["type"].value == "expect_column_values_to_be_between"
    assert failed.metadata["unexpected_percent"].value == pytest.approx(100 / 3)
    assert "Unexpected: 1 of 3" in failed.description
    assert failed.metadata["report"].value.endswith(".html")
    assert checks["quality__row_count_to_be_between"].metadata["observed"].value == 3
    assert not found.success
    assert made(found) == {"landed"}
    runs = [run for run in backbeat.platform.ledger.runs() if run.kind == "quality.check/v1"]
    assert len(runs) == 1


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_a_warning_stops_nothing(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance, severity: str
) -> None:
    """The check has failed, and what lies behind starts; the work is done and not blocked."""
    found = play(backbeat, instance, suite=suite("critical", severity))
    (failed,) = (check for check in found.get_asset_check_evaluations() if not check.passed)
    assert failed.check_name == NAMES[1]
    assert failed.severity is dg.AssetCheckSeverity.WARN
    assert failed.metadata["severity"].value == severity
    assert found.success
    assert made(found) == {"landed", "behind"}
    assert [run.state for run in backbeat.platform.ledger.runs()] == ["done"]


def test_warnings_beside_a_critical_failure_stay_warnings(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Each check has its own expectation's severity; the critical one stops what lies behind."""
    pq.write_table(pa.table({"x": [None, 20, 3]}), tmp_path / "platform/store/landed.parquet")
    found = play(backbeat, instance, suite=suite("warning", "info", "critical"))
    severities = {
        check.check_name: check.severity.value
        for check in found.get_asset_check_evaluations()
        if not check.passed
    }
    assert severities == {NAMES[0]: "WARN", NAMES[1]: "WARN", NAMES[2]: "ERROR"}
    assert made(found) == {"landed"}


def test_a_failure_that_is_only_reported_stops_nothing(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance
) -> None:
    """What lies behind goes on, and the result is kept beside the profile."""
    found = play(
        backbeat, instance, on_failure="report", monitor="monitors/landed", partition="today"
    )
    failed = [check for check in found.get_asset_check_evaluations() if not check.passed]
    assert [check.severity for check in failed] == [dg.AssetCheckSeverity.ERROR]
    assert made(found) == {"landed", "behind"}
    assert backbeat.platform.store.exists("monitors/landed/quality/today.json")


def test_some_of_the_checks_can_be_run_alone(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance
) -> None:
    """As a person does from the asset's page: the others' failures are not theirs."""
    found = play(backbeat, instance, NAMES[0], NAMES[3])
    evaluated = [check.check_name for check in found.get_asset_check_evaluations()]
    assert evaluated == [NAMES[0], NAMES[3]]
    assert found.success


def names(suite: Any) -> list[str]:
    """The checks' names of a suite."""
    quality = bb.quality_checks(on="landed", data="landed.parquet", suite=suite)
    return [spec.name for spec in quality.check_specs]


def test_no_two_checks_have_one_name() -> None:
    """Whatever the columns are called: a column can end like a number of ours."""
    kind = "expect_column_values_to_not_be_null"
    columns = ["x__n3", "x", "x", "x", "größe", "größe", "x y"]
    found = names([{"type": kind, "kwargs": {"column": name}} for name in columns])
    assert found == [
        "quality__not_be_null__x__n3",
        "quality__not_be_null__x",
        "quality__not_be_null__x__n2",
        "quality__not_be_null__x__n4",
        "quality__not_be_null__gr__e",
        "quality__not_be_null__gr__e__n2",
        "quality__not_be_null__x_y",
    ]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("expect_table_column_count_to_equal", "column_count_to_equal"),
        ("expect_column_mean_to_be_between", "mean_to_be_between"),
        ("expect_column_pair_values_to_be_equal", "to_be_equal"),
        ("expect_compound_columns_to_be_unique", "compound_columns_to_be_unique"),
        ("my_own_expectation", "my_own_expectation"),
    ],
)
def test_a_check_is_called_as_its_expectation_is(kind: str, word: str) -> None:
    """Without what all expectations begin with."""
    assert names([{"type": kind}]) == [f"quality__{word}"]


def test_a_suite_that_is_not_known_yet_has_one_check(tmp_path: Path) -> None:
    """That of a project is not read, and that of another asset not there, while all is loaded."""
    project = {"context_root": str(tmp_path / "nowhere"), "suite_name": "parcels"}
    kwargs = {"column": "x", "max_value": bb.FromAsset("limits", "highest")}
    learnt = {"suite": [{"type": "expect_column_values_to_be_between", "kwargs": kwargs}]}
    for fields in (project, learnt, {"suite": bb.FromAsset("suites", "landed")}):
        quality = bb.quality_checks(on="landed", data="landed.parquet", **fields)
        assert [spec.name for spec in quality.check_specs] == ["quality"]


@pytest.mark.parametrize(
    ("severity", "materialized"), [("critical", {"landed"}), ("warning", {"landed", "behind"})]
)
def test_the_one_check_of_a_project_stops_on_critical_failures(
    backbeat: bb.BackbeatResource,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    severity: str,
    materialized: set[str],
) -> None:
    """As each of a suite's checks does; which expectation it was stands in its evidence."""
    gx = pytest.importorskip("great_expectations")
    context = gx.get_context(mode="file", project_root_dir=tmp_path)
    between = gx.expectations.ExpectColumnValuesToBeBetween(
        column="x", max_value=2, severity=severity
    )
    context.suites.add(gx.ExpectationSuite(name="landed", expectations=[between]))
    root = str(tmp_path / "gx")
    found = play(backbeat, instance, suite=None, context_root=root, suite_name="landed")
    (check,) = found.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("quality", False)
    assert "1 of 1 expectations failed" in check.description
    assert made(found) == materialized


def test_the_lifecycle_checks_each_expectation_and_keeps_the_result(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance, days: Any, day: str
) -> None:
    """Its job has all of the checks; where one fails nothing starts, and the monitor knows why."""
    lifecycle = bb.model_lifecycle(
        model="tiny",
        backbeat=backbeat,
        partitions_def=days,
        landed="landed",
        data="landed.parquet",
        suite=SUITE,
        current="landed.parquet",
        monitor="monitors/tiny",
        source=bb.Training(function="m:train", data={"rows": "landed.parquet"}, features=["x"]),
        trained="landed.parquet",
        compared="landed.parquet",
        labels="landed.parquet",
        key="id",
        label_column="y",
        scores="scores/tiny",
        executor=dg.in_process_executor,
    )
    landed = dg.Definitions(assets=[dg.AssetSpec("landed", partitions_def=days)])
    job = dg.Definitions.merge(landed, lifecycle).resolve_job_def("tiny_lifecycle")
    found = job.execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
    checks = {check.check_name: check.passed for check in found.get_asset_check_evaluations()}
    assert checks == dict(zip(NAMES, (True, False, True, True), strict=True))
    assert (found.success, made(found)) == (False, set())
    assert backbeat.platform.store.exists(f"monitors/tiny/quality/{day}.json")


def test_the_pages_snippet_runs(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """What docs/quality.md shows: a far parcel warns, one without a depot stops the features."""
    (snippet,) = [
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "dagster" in text
    ]
    names: dict[str, Any] = {}
    exec(compile(snippet.replace("/srv/backbeat", str(tmp_path)), str(PAGE), "exec"), names)  # noqa: S102
    job = names["defs"].resolve_implicit_global_asset_job_def()
    folder = tmp_path / "store" / "landing"
    folder.mkdir(parents=True)
    for day, depot, started in (("2024-05-04", "north", True), ("2024-05-05", None, False)):
        columns = {"depot": pa.array([depot, "south"]), "distance_km": [10.0, 900.0]}
        pq.write_table(pa.table(columns), folder / f"{day}.parquet")
        found = job.execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
        checks = {check.check_name: check for check in found.get_asset_check_evaluations()}
        assert checks["quality__not_be_null__depot"].passed is started
        far = checks["quality__be_between__distance_km"]
        assert (far.passed, far.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert ("features" in made(found)) is started
        kept = tmp_path / "store" / "monitors" / "parcels" / "quality" / f"{day}.json"
        assert kept.is_file()
