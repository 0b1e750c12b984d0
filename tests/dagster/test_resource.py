"""The platform's settings as a Dagster resource."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from backbeat.ports import Need
from backbeat.wiring.settings import SETTINGS
from dagster_backbeat import BackbeatResource


def test_the_fields_are_the_settings() -> None:
    """Every setting of a platform is a field with a description, and no other is."""
    fields = BackbeatResource.model_fields
    assert set(fields) == set(SETTINGS)
    assert all(fields[name].description for name in SETTINGS)


def test_environment_variables_are_read_when_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    """Each field takes an `EnvVar`, whose value is known only in the run."""
    found = []

    @dg.asset
    def probe(backbeat: BackbeatResource) -> None:
        found.append(backbeat.platform)

    assets = dg.Definitions(
        assets=[probe],
        resources={
            "backbeat": BackbeatResource(
                folder=dg.EnvVar("PLATFORM_FOLDER"), ledger=dg.EnvVar("PLATFORM_LEDGER")
            )
        },
    )
    monkeypatch.setenv("PLATFORM_FOLDER", str(tmp_path / "somewhere"))
    monkeypatch.setenv("PLATFORM_LEDGER", "none")
    job = assets.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance).success
    (platform,) = found
    assert str(tmp_path / "somewhere") in platform.description
    assert Need.LEDGER not in platform.offers


def test_building_it_does_no_input_or_output(tmp_path: Path) -> None:
    """A platform is made where it is asked for, once, and writes nothing by itself."""
    resource = BackbeatResource(folder=str(tmp_path / "platform"))
    assert resource.platform is resource.platform
    assert not (tmp_path / "platform").exists()
