from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from backbeat import Done, Outcome, Step, embedded, run_step
from backbeat.errors import UnmetNeed
from backbeat.ports import Need
from backbeat.step import StepContext

Make = Callable[..., Any]


class Writes(Step):
    """Writes a file in the store."""

    kind: ClassVar[str] = "toy.writes/v1"

    def perform(self, ctx: StepContext) -> Outcome:
        ctx.store.write("out.txt", b"written")
        return Done(value={"n": 1})


def test_a_platform_is_free_until_it_is_used(start_python: Make, tmp_path: Path) -> None:
    """Building one creates no file and imports no database, registry or data library."""
    source = """
import sys
from backbeat import embedded
embedded(sys.argv[1])
heavy = {"sqlalchemy", "mlflow", "pyarrow", "pandas", "numpy", "great_expectations", "openlineage"}
print(sorted(heavy & set(sys.modules)))
"""
    process = start_python(source, tmp_path / "p")
    out, errors = process.communicate(timeout=60)
    assert out == "[]\n", errors
    assert list(tmp_path.iterdir()) == []


def test_rung_0_runs_steps_and_writes_lineage_files_only(tmp_path: Path, attempt: Make) -> None:
    """Without a ledger the step performs each time and its lineage goes straight to the store."""
    platform = embedded(tmp_path, ledger=False, registry=False)
    for number in (1, 2):
        assert run_step(Writes(), attempt(attempt=number), platform) == Done(value={"n": 1})
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    events = [json.loads(path.read_bytes()) for path in files if path.suffix == ".json"]
    assert sorted(event["eventType"] for event in events) == ["COMPLETE"] * 2 + ["START"] * 2
    assert {path.relative_to(tmp_path).parts[:2] for path in files} == {
        ("store", "lineage"),
        ("store", "out.txt"),
    }


def test_rung_0_says_what_needs_a_ledger(tmp_path: Path) -> None:
    """What cannot be promised without a ledger is refused by name, and creates nothing."""
    platform = embedded(tmp_path / "p", ledger=False, registry=False)
    with pytest.raises(UnmetNeed, match=r"signoff needs a ledger \(rung 1\)"):
        platform.ledger.streams("signoff")
    with (
        pytest.raises(UnmetNeed, match="needs a ledger"),
        platform.ledger.lock("promote", owner="a", seconds=1),
    ):
        pytest.fail("a lock without a ledger")
    with pytest.raises(UnmetNeed, match="this step needs a registry"):
        _ = platform.registry
    assert Need.LEDGER not in platform.offers
    assert list(tmp_path.iterdir()) == []
