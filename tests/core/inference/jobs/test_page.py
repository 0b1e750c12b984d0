"""The page about long jobs: what it shows is run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs_scored import identity

from backbeat import Done, Platform, run_step
from backbeat.testing import BatchServer

PAGE = (Path(__file__).parents[4] / "docs" / "long-jobs.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_step_is_scored_by_a_job(
    platform: Platform, batches: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first snippet; those of the orchestrators run in their own environments."""
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_LLM", '{"bearer": "x"}')
    with platform.store.writing("reviews.parquet") as path:
        pq.write_table(pa.table({"id": [1, 2], "prompt": ["good", "bad"]}), path)
    names: dict[str, Any] = {"ADDRESS": batches.address}
    exec(compile(SNIPPETS[0], "docs/long-jobs.md", "exec"), names)  # noqa: S102 - our own page
    done = run_step(names["step"], identity(), platform)
    assert isinstance(done, Done)
    assert done.value["jobs"] == list(batches.batches)


def test_the_addresses_on_it_are_addresses(score: Callable[..., Any]) -> None:
    """As they stand there."""
    from backbeat.inference.jobs import parse_job_address

    shown = re.findall(r"^    (openai-batch\S+)", PAGE, re.MULTILINE)
    assert [parse_job_address(each).options["model"] for each in shown] == ["NAME"] * 2
