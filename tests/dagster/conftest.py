"""A Dagster instance and a platform in a folder, and toy assets on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from backbeat import Actor, Platform
from backbeat.signoff import requests, vote
from dagster_backbeat import BackbeatResource

DAYS = dg.DailyPartitionsDefinition("2013-03-01")
DAY = "2013-03-10"


@pytest.fixture
def days() -> dg.DailyPartitionsDefinition:
    """Daily partitions."""
    return DAYS


@pytest.fixture
def day() -> str:
    """One of them."""
    return DAY


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A real instance with its storage in a folder."""
    home = tmp_path / "dagster"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.instance_for_test(temp_dir=str(home)) as made:
        yield made


@pytest.fixture
def resource(tmp_path: Path) -> BackbeatResource:
    """A platform with a ledger in a folder."""
    return BackbeatResource(folder=str(tmp_path / "platform"), tracking_uri="none")


@pytest.fixture
def platform(resource: BackbeatResource) -> Platform:
    """The resource's platform."""
    return resource.platform


@pytest.fixture
def run_job(
    instance: dg.DagsterInstance, resource: BackbeatResource
) -> Callable[..., dg.ExecuteInProcessResult]:
    """Runs assets and checks as one job, without raising where the run fails."""

    def run(
        assets: Sequence[Any],
        checks: Sequence[Any] = (),
        *,
        partition_key: str | None = DAY,
        tags: dict[str, str] | None = None,
        only: Sequence[dg.AssetKey] | None = None,
        job: str = "nightly",
    ) -> dg.ExecuteInProcessResult:
        defs = dg.Definitions(
            assets=assets,
            asset_checks=checks,
            jobs=[dg.define_asset_job(job, executor_def=dg.in_process_executor)],
            resources={"backbeat": resource},
        )
        return defs.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=partition_key,
            tags=tags,
            asset_selection=list(only) if only else None,
            raise_on_error=False,
        )

    return run


@pytest.fixture
def decide(platform: Platform) -> Callable[..., str]:
    """Lets people decide the one request that is open; returns its id."""

    def votes(choice: Any = "approve", people: Sequence[str] = ("ada", "grace")) -> str:
        (state,) = requests(platform.ledger, state="open")
        for name in people[: 1 if choice == "reject" else len(people)]:
            vote(
                platform.ledger,
                state.request.request_id,
                choice=choice,
                actor=Actor(id=name, method="python"),
                evidence_digest=state.request.evidence_digest,
            )
        return state.request.request_id

    return votes


@pytest.fixture
def materialized() -> Callable[[dg.ExecuteInProcessResult], set[str]]:
    """Reads the keys of what a run has materialized."""

    def keys(result: dg.ExecuteInProcessResult) -> set[str]:
        events = result.get_asset_materialization_events()
        return {event.asset_key.to_user_string() for event in events if event.asset_key}

    return keys
