"""A list that changes between two tries moves nobody's work to somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_changed_list_of_partitions_shifts_nobodys_work(
    dagster: Any, fault: Any, marks: Any
) -> None:
    """A retry of oslo is oslo's, though the list has lost its first city and got others."""
    dagster.instance.add_dynamic_partitions("cities", ["bergen", "oslo"])
    fault("visited", "finished", "kill")
    run_id = dagster.launch("cities", "oslo", tags={"dagster/max_retries": "1"})
    dagster.work()
    dagster.instance.delete_dynamic_partition("cities", "bergen")
    dagster.instance.add_dynamic_partitions("cities", ["aarhus", "turku"])
    dagster.retry_failed()
    (retried,) = dagster.work()
    assert dagster.materialized(retried)["visited"]["run"] == run_id
    assert marks("visited@oslo") == 1
    dagster.perform("cities", "aarhus", tags={"backbeat/run": run_id})
    assert (marks("visited@oslo"), marks("visited@aarhus")) == (1, 1)


def test_a_changed_list_of_mapped_outputs_shifts_nobodys_work(
    dagster: Any, fault: Any, marks: Any, folder: Path
) -> None:
    """Each mapped copy is known by its mapping key: what was done is replayed, what is new runs."""
    (folder / "cities").write_text("bergen oslo turku")
    fault("turku", "finished", "kill")
    tags = {"dagster/max_retries": "1", "dagster/retry_strategy": "ALL_STEPS"}
    dagster.launch("journey", tags=tags)
    dagster.work()
    (folder / "cities").write_text("aarhus oslo turku")
    dagster.retry_failed()
    (retried,) = dagster.work()
    assert dagster.succeeded(retried)
    counts = {name: marks(f"visit[{name}]") for name in ("aarhus", "bergen", "oslo", "turku")}
    assert counts == {"aarhus": 1, "bergen": 1, "oslo": 1, "turku": 1}
