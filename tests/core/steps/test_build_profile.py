from __future__ import annotations

import hashlib
from pathlib import Path

from parcels import CHAMPION, FEATURES, MODEL, Season, attempt, documented_value, drift, profile

from backbeat import Done, embedded, run_step
from backbeat.drift import Profile
from backbeat.steps import BuildProfile

DAY = "landing/parcels/2024-05-04.parquet"


def test_writes_and_binds_a_profile(season: Season) -> None:
    """The profile is in the store, and the version names it as the reference of drift checks."""
    outcome = season.run(profile(DAY, model=f"models:/{MODEL}/2"))

    assert isinstance(outcome, Done)
    assert set(outcome.value) == documented_value(BuildProfile)
    content = season.platform.store.read("profiles/new.json")
    assert outcome.value["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert outcome.value["rows"] == Profile.from_bytes(content).rows == 800
    assert outcome.value["columns"] == len(FEATURES)
    version = season.platform.registry.resolve(f"models:/{MODEL}/2")
    assert version.tags["backbeat.profile"] == "profiles/new.json"
    checked = season.run(drift(DAY, reference=version.uri))
    assert isinstance(checked, Done)
    assert checked.value["verdict"] == "stable"


def test_binds_to_the_version_behind_an_alias(season: Season) -> None:
    """An alias is pinned to the version that it means at the claim."""
    outcome = season.run(profile(DAY, model=CHAMPION))

    assert isinstance(outcome, Done)
    assert outcome.value["model"] == f"models:/{MODEL}/1"


def test_works_with_a_folder_alone(season: Season, tmp_path: Path) -> None:
    """At rung 0, without registry and ledger, the same bytes are written."""
    alone = embedded(tmp_path / "alone", ledger=False, registry=False)
    outcome = run_step(profile(str(season.folder / "store" / DAY)), attempt(), alone)
    season.run(profile(DAY))

    assert isinstance(outcome, Done)
    assert "model" not in outcome.value
    written = alone.store.read("profiles/new.json")
    assert written == season.platform.store.read("profiles/new.json")


def test_a_retry_performs_again_to_the_same_content(season: Season) -> None:
    """Content replay: a profile that was lost is there again after a retry."""
    first = season.run(profile(DAY))
    season.platform.store.delete("profiles/new.json")

    assert season.run(profile(DAY), attempt=2) == first
    assert season.platform.store.exists("profiles/new.json")
