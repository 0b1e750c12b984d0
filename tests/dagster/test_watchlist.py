"""An asset with its check for each model of a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import dagster_backbeat as bb
from backbeat.errors import InvalidStep

PAGE = Path(__file__).parents[2] / "docs" / "many-models.md"
FILE = """
version: 1
defaults: {report: ""}
models:
  near: {current: "landing/{partition}.parquet", reference: profiles/all.json}
  far: {current: "landing/{partition}.parquet", reference: profiles/all.json, columns: [x]}
"""
DAYS = dg.DailyPartitionsDefinition("2024-05-01")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of two models."""
    path = tmp_path / "models.yaml"
    path.write_text(FILE)
    return path


def test_each_model_is_an_asset_with_a_check(file: Path, tmp_path: Path) -> None:
    """Both are made for a partition, and both checks say what was found."""
    backbeat = bb.BackbeatResource(folder=str(tmp_path / "platform"), ledger="none")
    path = tmp_path / "platform/store/landing/2024-05-02.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": np.linspace(0, 1, 5000)}), path)
    profile = bb.profile_asset(
        asset="profile", data="landing/2024-05-02.parquet", output_key="profiles/all.json"
    )
    assert dg.materialize([profile], resources={"backbeat": backbeat}).success
    found = dg.materialize(
        bb.drift_checks(file, partitions_def=DAYS),
        resources={"backbeat": backbeat},
        partition_key="2024-05-02",
    )
    made = {event.asset_key.to_user_string() for event in found.get_asset_materialization_events()}
    assert made == {"near/drift", "far/drift"}
    checks = found.get_asset_check_evaluations()
    assert [check.passed for check in checks] == [True, True]


def test_a_slip_in_the_file_is_an_error_of_the_definitions(file: Path) -> None:
    """It names the model and the field."""
    file.write_text(FILE.replace("columns", "colums"))
    with pytest.raises(InvalidStep, match="far has the unknown field 'colums'"):
        bb.drift_checks(file)


def test_a_prefix_stands_before_each_key(file: Path) -> None:
    """Two files, such as two teams', can then be in one code location."""
    (far,) = bb.drift_checks(file, only=["far"], key_prefix="team/eu")
    assert far.key == dg.AssetKey(["team", "eu", "far", "drift"])


def test_the_pages_snippet_loads(tmp_path: Path) -> None:
    """What docs/many-models.md shows makes definitions, from any folder."""
    text = PAGE.read_text()
    (models,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "models.yaml").write_text(models)
    (snippet,) = [
        found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "dagster" in found
    ]
    names: dict[str, Any] = {"__file__": str(tmp_path / "definitions.py")}
    exec(compile(snippet, str(PAGE), "exec"), names)  # noqa: S102
    dg.Definitions(assets=names["checks"], resources={"backbeat": bb.BackbeatResource(folder="x")})
    assert len(names["checks"]) == 2
