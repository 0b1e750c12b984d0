"""What a launcher on several hosts may not be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from backbeat.errors import UnmetNeed
from backbeat.wiring import refuse_unshared

_SHARED = {
    "folder": "/srv/backbeat",
    "ledger": "postgresql://db/backbeat",
    "tracking_uri": "https://mlflow",
}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"ledger": "postgres://db/backbeat"},
        {"ledger": "https://ledger.example"},
        {"ledger": "none", "tracking_uri": "none"},
        {"tracking_uri": "postgresql+psycopg://db/mlflow"},
        {"tracking_uri": "databricks"},
        {"tracking_uri": "file:///mnt/shared/mlruns"},
    ],
)
def test_what_every_host_reaches_is_accepted(changed: dict[str, str]) -> None:
    """Databases, services and network folders are the same from everywhere."""
    refuse_unshared({**_SHARED, **changed}, launcher="CeleryExecutor")


@pytest.mark.parametrize("ledger", ["", None, "/srv/ledger.db", "sqlite:////srv/ledger.db"])
def test_a_sqlite_ledger_is_refused(ledger: str | None) -> None:
    """By name or by default: each host would have a ledger of its own."""
    with pytest.raises(UnmetNeed) as refused:
        refuse_unshared({**_SHARED, "ledger": ledger}, launcher="CeleryExecutor")
    assert refused.value.message.startswith("CeleryExecutor runs tasks on several hosts")
    assert "ledger.db" in refused.value.message
    assert "postgresql://" in refused.value.hint
    assert "rung" in refused.value.hint


@pytest.mark.parametrize("ledger", ["postgresql://db/backbeat", "none"])
@pytest.mark.parametrize(
    "tracking", ["", None, "sqlite:////srv/mlflow.db", "sqlite+pysqlite:////srv/mlflow.db"]
)
def test_a_sqlite_registry_is_refused(tracking: str | None, ledger: str) -> None:
    """At every rung, for each host would have a champion of its own; `none` is the way without."""
    settings = {**_SHARED, "tracking_uri": tracking, "ledger": ledger}
    with pytest.raises(UnmetNeed, match=r"MLflow's SQLite file /srv/\w*/?mlflow.db") as refused:
        refuse_unshared(settings, launcher="KubernetesExecutor")
    assert "`none`" in refused.value.hint


def test_a_password_is_not_repeated() -> None:
    """What is refused about the registry says nothing of the ledger's address."""
    settings = {"folder": "/srv", "ledger": "postgresql://ada:hush@db/backbeat"}
    with pytest.raises(UnmetNeed) as refused:
        refuse_unshared(settings, launcher="CeleryExecutor")
    assert "hush" not in str(refused.value)


def test_nothing_is_made(tmp_path: Path) -> None:
    """The decision is about words: neither file nor folder appears."""
    with pytest.raises(UnmetNeed):
        refuse_unshared({"folder": str(tmp_path / "platform")}, launcher="CeleryExecutor")
    assert list(tmp_path.iterdir()) == []
