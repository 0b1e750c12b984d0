"""What moves an alias and what never does: rollbacks, backfills, reports by hand, old votes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from backbeat import Platform
from backbeat.signoff import requests

DAY, NEXT_DAY = "2013-03-10", "2013-03-11"


@pytest.fixture
def promoted(dagster: Any, champion: Any, approve: Any) -> str:
    """Version 2 is asked for, approved and promoted; returns the continuation's run."""
    dagster.perform("gated", DAY)
    approve()
    (run_id,) = dagster.look()
    assert champion() == "2"
    return str(run_id)


@pytest.mark.parametrize("how", ["materialize", "re-execute"])
@pytest.mark.parametrize(
    ("back_to", "why"),
    [("1", "has been set back to 1 since: nothing was changed"), ("3", "m@champion is version 3")],
)
def test_a_rollback_is_not_undone(
    dagster: Any, promoted: str, champion: Any, platform: Platform, how: str, back_to: str, why: str
) -> None:
    """After the alias was set back by hand, materializing again claims nothing and fails."""
    platform.registry.set_alias("m", "champion", back_to)
    if how == "materialize":
        again = dagster.perform("gated", DAY, assets=["promoted"])
    else:
        again = dagster.again(promoted)
    assert not dagster.succeeded(again)
    assert why in dagster.why(again)
    assert "promoted" not in dagster.materialized(again)
    assert champion() == back_to


def test_materializing_what_is_promoted_changes_nothing(
    dagster: Any, promoted: str, champion: Any
) -> None:
    """Where the alias still points there, it is looked at and left."""
    again = dagster.perform("gated", DAY, assets=["promoted"])
    assert dagster.materialized(again)["promoted"]["changed"] is False
    assert champion() == "2"


def test_a_backfill_promotes_nothing(dagster: Any, champion: Any) -> None:
    """Refused run by run; so is a re-execution once the backfill has ended and its tag is gone."""
    runs = dagster.backfill([DAY, NEXT_DAY], asset="unasked")
    assert len(runs) == 2
    for run in runs:
        assert "a backfill promotes nothing unless it says in_backfill" in dagster.why(run.run_id)
    again = dagster.again(runs[0].run_id)
    assert "dagster/backfill" not in dagster.instance.get_run_by_id(again).tags
    assert "a backfill promotes nothing" in dagster.why(again)
    assert champion() == "1"


def test_a_backfill_promotes_where_it_was_asked_to(dagster: Any, champion: Any) -> None:
    """`in_backfill=True` lets the first one move the alias; the next one finds it moved."""
    runs = dagster.backfill([DAY, NEXT_DAY], asset="replayed")
    changed = [dagster.materialized(run.run_id)["replayed"]["changed"] for run in runs]
    assert sorted(changed) == [False, True]
    assert champion() == "2"


def test_an_approval_that_a_backfill_asked_for_promotes_nothing(
    dagster: Any, champion: Any, approve: Any
) -> None:
    """The run that continues a backfill's run is part of the backfill, whatever its tags say."""
    (asked,) = dagster.backfill([DAY], job="gated")
    assert "dagster/backfill" in asked.tags
    approve()
    (run_id,) = dagster.look()
    assert "a backfill promotes nothing" in dagster.why(run_id)
    assert champion() == "1"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "has no value 'request_id'"),
        ({"request_id": ""}, "none is named|names none"),
        ({"request_id": "None"}, "none is named|names none"),
        ({"request_id": dg.MetadataValue.null()}, "none is named|names none"),
        ({"request_id": "so-0000000000000000"}, "there is no sign-off request so-0000000000000000"),
        ({"request_id": "the open one"}, "is open, not approved"),
    ],
    ids=["nothing", "empty", "a text None", "null", "made up", "open"],
)
def test_a_gate_that_was_reported_by_hand_opens_nothing(
    dagster: Any, champion: Any, platform: Platform, approve: Any, said: dict[str, Any], why: str
) -> None:
    """The promotion reads the ledger again: a report is no approval; a real one performs later."""
    dagster.perform("gated", DAY)
    (state,) = requests(platform.ledger, state="open")
    if not said:
        dagster.report("approved", DAY)
    else:
        if said["request_id"] == "the open one":
            said = {"request_id": state.request.request_id}
        dagster.instance.report_runless_asset_event(
            dg.AssetMaterialization("approved", partition=DAY, metadata=said)
        )
    forced = dagster.perform("gated", DAY, assets=["promoted"])
    assert re.search(why, dagster.why(forced))
    assert champion() == "1"
    approve()
    (later,) = dagster.look()
    assert dagster.succeeded(later)
    assert champion() == "2"


def test_a_promotion_that_was_reported_by_hand_did_not_happen(
    dagster: Any, champion: Any, approve: Any
) -> None:
    """A click on "Report materialization" moves no alias; the later materialization performs."""
    dagster.perform("gated", DAY)
    dagster.report("promoted", DAY)
    assert champion() == "1"
    approve()
    (run_id,) = dagster.look()
    assert dagster.materialized(run_id)["promoted"]["changed"] is True
    assert champion() == "2"


def test_an_approval_of_a_superseded_candidate_promotes_nothing(
    dagster: Any, champion: Any, approve: Any, platform: Platform, folder: Path
) -> None:
    """Version 3 came while people looked at 2: their yes to 2 promotes neither, a yes to 3 does."""
    dagster.perform("gated", DAY)
    (old,) = requests(platform.ledger, state="open")
    (folder / "candidate").write_text("3")
    dagster.perform("gated", DAY)
    approve(old.request.request_id)
    (run_id,) = dagster.look()
    assert "has been replaced since it was asked" in dagster.why(run_id)
    assert champion() == "1"
    approve()
    (run_id,) = dagster.look()
    assert dagster.materialized(run_id)["promoted"]["version"] == "3"
    assert champion() == "3"


def test_an_old_approval_reported_by_hand_promotes_nothing(
    dagster: Any, champion: Any, approve: Any, folder: Path
) -> None:
    """Somebody reports the gate with the approval of 2 where 3 is there now: refused by name."""
    dagster.perform("gated", DAY)
    approved = approve()
    (folder / "candidate").write_text("3")
    dagster.perform("gated", DAY, assets=["table"])
    dagster.instance.report_runless_asset_event(
        dg.AssetMaterialization("approved", partition=DAY, metadata={"request_id": approved})
    )
    forced = dagster.perform("gated", DAY, assets=["promoted"])
    assert "not about m version 3" in dagster.why(forced)
    assert champion() == "1"
