"""The page about Delta tables: its snippets are run, with a real model server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from backbeat import Actor, RunIdentity, embedded, run_step

PAGE = (Path(__file__).parents[3] / "docs" / "delta.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_snippets_run(server: Any, tmp_path: Path) -> None:
    """A scoring is committed once, and read back by deltalake."""
    platform = embedded(tmp_path, registry=False)
    with platform.store.writing("landing/2013-02-11.parquet") as path:
        pq.write_table(pa.table({"flight_id": ["a", "b"], "x": [1.0, 2.0]}), path)
    attempts = iter(range(1, 9))

    def run(step: Any) -> Any:
        identity = RunIdentity(
            workflow="w",
            run="r",
            task="t",
            attempt=next(attempts),
            actor=Actor(id="ana", method="python"),
        )
        return run_step(step, identity, platform)

    names: dict[str, Any] = {"ADDRESS": server.address, "RUN": run}
    assert sum(snippet.count("assert ") for snippet in SNIPPETS) == 4
    for snippet in SNIPPETS:
        exec(compile(snippet, "docs/delta.md", "exec"), names)  # noqa: S102 - our own page
    assert {ref.uri for ref in names["done"].outputs} == {
        "scores/2013-02-11",
        names["done"].value["delta"],
    }
