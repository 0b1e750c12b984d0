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
                folder=dg.EnvVar("PLATFORM_FOLDER"),
                ledger=dg.EnvVar("PLATFORM_LEDGER"),
                store=dg.EnvVar("PLATFORM_STORE"),
                ledger_token=dg.EnvVar("PLATFORM_TOKEN"),
                lineage_url=dg.EnvVar("PLATFORM_LINEAGE"),
            )
        },
    )
    monkeypatch.setenv("PLATFORM_FOLDER", str(tmp_path / "somewhere"))
    monkeypatch.setenv("PLATFORM_LEDGER", "none")
    monkeypatch.setenv("PLATFORM_STORE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PLATFORM_TOKEN", "bb-secret")
    monkeypatch.setenv("PLATFORM_LINEAGE", "https://lineage.example")
    job = assets.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance).success
    (platform,) = found
    assert str(tmp_path / "somewhere") in platform.description
    assert Need.LEDGER not in platform.offers
    platform.store.write("a", b"1")
    assert (tmp_path / "elsewhere/a").exists()


def test_what_is_given_reaches_the_platform(tmp_path: Path) -> None:
    """Store and lineage go where the fields say, and no secret is in what is printed."""
    resource = BackbeatResource(
        folder=str(tmp_path / "platform"),
        store=str(tmp_path / "elsewhere"),
        ledger="https://ledger.example",
        ledger_token="bb-secret",  # noqa: S106
        lineage_url="https://lineage.example",
    )
    resource.platform.store.write("a", b"1")
    assert (tmp_path / "elsewhere/a").read_bytes() == b"1"
    assert "bb-secret" not in repr(resource)
    assert "bb-secret" not in resource.platform.description


def test_building_it_does_no_input_or_output(tmp_path: Path) -> None:
    """A platform is made where it is asked for, once, and writes nothing by itself."""
    resource = BackbeatResource(folder=str(tmp_path / "platform"))
    assert resource.platform is resource.platform
    assert not (tmp_path / "platform").exists()
