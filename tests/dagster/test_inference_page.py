"""What docs/inference.md shows for Dagster, run against a real server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from backbeat.testing import model_server
from dagster_backbeat.pools import endpoint_pool

PAGE = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()
(SNIPPET,) = [
    snippet
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    if "dagster" in snippet
]


def test_its_asset_asks_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the secret of the environment, and says what was asked."""
    monkeypatch.setenv("BACKBEAT_FOLDER", str(tmp_path))
    monkeypatch.setenv("CHURN_TOKEN", "s3cret")
    with model_server() as server:
        monkeypatch.setenv("CHURN_ADDRESS", server.address)
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(SNIPPET, "docs/inference.md", "exec", dont_inherit=True), names)  # noqa: S102
        defs: dg.Definitions = names["defs"]
        found = defs.resolve_implicit_global_asset_job_def().execute_in_process()
    (made,) = found.asset_materializations_for_node("risks")
    assert (made.metadata["highest"].value, made.metadata["calls"].value) == (6.0, 1)
    assert server.headers[0]["authorization"] == "Bearer s3cret"
    assert names["risks"].op.pool == f"backbeat/127_0_0_1_{server.port}"


def test_its_command_limits_the_pool(instance: dg.DagsterInstance) -> None:
    """Two at a time, as the instance sees it."""
    from click.testing import CliRunner
    from dagster._cli.instance import concurrency_cli

    (command,) = re.findall(r"^dagster instance concurrency (.+)$", PAGE, re.MULTILINE)
    found = CliRunner().invoke(concurrency_cli, command.split())
    assert found.exit_code == 0, found.output
    (limit,) = instance.event_log_storage.get_pool_limits()
    assert (limit.name, limit.limit) == ("backbeat/churn_example_com_8000", 2)
    assert endpoint_pool("oip+http://churn.example.com:8000/v2/models/churn") == limit.name
