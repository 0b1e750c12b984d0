"""Each distribution works in an environment of its own, installed from its wheel."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Clean = Callable[[str, str], Callable[[str], str]]
DOOR = """
import tempfile
from backbeat import Actor, RunIdentity, embedded, run_step
from backbeat.steps import LogLineage
run = RunIdentity(workflow="w", run="r", task="t", actor=Actor(id="me", method="python"))
print(run_step(LogLineage(facts={"n": 1}), run, embedded(tempfile.mkdtemp())).value)
"""


def _project(folder: str) -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    return loaded["project"]


def test_the_distributions_are_in_lock_step() -> None:
    """One version for all, and the adapters pin the core to its minor version."""
    core = _project(".")["version"]
    minor = core.rsplit(".", 1)[0]
    for folder in ("airflow_provider", "dagster_integration"):
        project = _project(folder)
        assert project["version"] == core
        assert f"backbeat=={minor}.*" in project["dependencies"]


def test_the_pins_cover_what_the_core_declares() -> None:
    """requirements/library.in lists exactly what `backbeat[all]` depends on."""
    project = _project(".")
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    named = everything.removeprefix("backbeat[").removesuffix("]").split(",")
    declared = {*project["dependencies"], *(item for name in named for item in extras[name])}
    lines = (ROOT / "requirements/library.in").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == declared


def test_the_core_works_alone(clean: Clean) -> None:
    """`pip install backbeat` and a folder: the door, the ledger and the command line work."""
    run = clean("backbeat", "core.txt")
    assert run(DOOR) == "{'n': 1}"
    assert "pandas" not in run("import sys, backbeat.cli.main; print(*sys.modules)").split()


def test_rung_zero_works_with_one_extra(clean: Clean) -> None:
    """`pip install backbeat[drift]` and a folder are enough for profiles and drift."""
    run = clean("backbeat[drift]", "core.txt")
    code = """
import tempfile, pathlib
import pyarrow as pa, pyarrow.parquet as pq
from backbeat import Actor, RunIdentity, embedded, run_step
from backbeat.steps import BuildProfile, DriftCheck
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "store").mkdir()
pq.write_table(pa.table({"x": list(range(3000))}), folder / "store/a.parquet")
pq.write_table(pa.table({"x": list(range(1000, 3000))}), folder / "store/b.parquet")
platform = embedded(folder, ledger=False, registry=False)
run = RunIdentity(workflow="w", run="r", task="t", actor=Actor(id="me", method="python"))
run_step(BuildProfile(data="a.parquet", output_key="p.json"), run, platform)
print(run_step(DriftCheck(current="b.parquet", reference="p.json"), run, platform).value["verdict"])
"""
    assert run(code) == "drifted"


def test_airflow_imports_beside_the_provider(clean: Clean) -> None:
    """With the provider installed, `from airflow.sdk import BaseOperator` still imports."""
    run = clean("airflow-provider-backbeat", "airflow.txt")
    assert run("from airflow.sdk import BaseOperator; print('ok')").endswith("ok")
    code = (
        "import sys\nfrom backbeat_provider.provider_info import get_provider_info\n"
        "info = get_provider_info()\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('airflow', 'pydantic')]\n"
        "print(info['package-name'])"
    )
    assert run(code) == "airflow-provider-backbeat"
    operators = "from backbeat_provider.operators import DriftCheckOperator as O; print(O.__name__)"
    assert run(operators).endswith("DriftCheckOperator")


def test_dagster_loads_the_library(clean: Clean) -> None:
    """The Dagster library imports from its wheel, and so does its resource."""
    run = clean("dagster-backbeat", "dagster.txt")
    assert run("from dagster_backbeat import BackbeatResource as R; print(R.__name__)").endswith(
        "BackbeatResource"
    )
