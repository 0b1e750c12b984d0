from __future__ import annotations

from typing import Any

import pyarrow.compute as pc
import pytest
from parcels import (
    DAYS,
    Season,
    attempt,
    documented_value,
    nothing_changes,
    quality,
    schedule,
)

from backbeat import Blocked, Done
from backbeat.errors import FencedOut, InvalidStep
from backbeat.runner.context import PerformContext
from backbeat.steps import QualityCheck

DAY = "landing/parcels/2024-05-04.parquet"
KEPT = "monitors/parcels/quality/2024-05-04.json"
KNOWN = {"monitor": "monitors/parcels", "partition": "2024-05-04"}


def early(**fields: Any) -> dict[str, Any]:
    """A suite that wants all parcels to leave early, which they do not."""
    kwargs = {"column": "hour", "max_value": 10}
    expected = {"type": "expect_column_values_to_be_between", "kwargs": kwargs, **fields}
    return {"name": "parcels", "expectations": [expected]}


IMPOSSIBLE = early()


def test_good_data_passes(season: Season) -> None:
    """Its value says what was checked, and the report is there to be read."""
    outcome = season.run(quality(DAY, monitor="monitors/parcels", partition="2024-05-04"))

    assert isinstance(outcome, Done)
    assert set(outcome.value) == documented_value(QualityCheck)
    assert outcome.value | {"report": ""} == {
        "batch": "monitors/parcels/quality/2024-05-04.json",
        "success": True,
        "rows": 800,
        "checked": 1,
        "failed": [],
        "report": "",
    }
    assert season.platform.store.read(outcome.value["report"]).startswith(b"<!doctype html>")
    assert outcome.inputs[0].uri == DAY
    assert outcome.evidence["assertions"]


def test_bad_data_blocks(season: Season) -> None:
    """A failed expectation blocks the night, is not retried, and is performed anew if asked."""
    outcome = season.run(quality(DAY, suite=IMPOSSIBLE))

    assert isinstance(outcome, Blocked)
    assert outcome.evidence["failed"] == ["expect_column_values_to_be_between(hour)"]
    assert [ref.uri for ref in outcome.inputs] == [DAY]
    assert season.ended("blocked") == ["quality.check/v1"]


def test_a_result_is_kept_beside_the_profile_however_it_ended(season: Season) -> None:
    """Blocked or done: the history must know of the bad days above all."""
    store = season.platform.store
    assert isinstance(season.run(quality(DAY, suite=IMPOSSIBLE, **KNOWN)), Blocked)
    kept = store.read(KEPT)
    assert b'"success":false' in kept
    season.run(quality(DAY, suite=IMPOSSIBLE, **KNOWN), run="again")
    assert store.read(KEPT) == kept
    season.land(DAY, schedule(DAYS[3]).filter(pc.field("hour") <= 10))
    assert isinstance(season.run(quality(DAY, suite=IMPOSSIBLE, **KNOWN), attempt=2), Done)
    assert b'"success":true' in store.read(KEPT)
    assert list(store.keys("monitors/parcels/quality/")) == [KEPT]


def test_a_worker_that_was_overtaken_keeps_no_result(season: Season) -> None:
    """The later attempt's result stands."""

    def overtaken() -> None:
        raise FencedOut("a later attempt took over", hint="let it finish")

    check = quality(DAY, **KNOWN)
    late = PerformContext(check, attempt(), season.platform)
    late.inputs, late.still_ours = check.resolve(late), overtaken
    with nothing_changes(season), pytest.raises(FencedOut):
        check.perform(late)


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_what_is_not_critical_blocks_nothing(season: Season, severity: str) -> None:
    """It is a value, and on record as a failure all the same."""
    outcome = season.run(quality(DAY, suite=early(severity=severity), **KNOWN))

    assert isinstance(outcome, Done)
    assert outcome.value["success"] is False
    assert outcome.evidence["failures"][0]["severity"] == severity
    assert b'"success":false' in season.platform.store.read(KEPT)
    assert outcome.evidence["assertions"][0]["severity"] == "warn"


def test_a_list_is_a_suite(season: Season) -> None:
    """As it is said of the operators."""
    outcome = season.run(quality(DAY, suite=IMPOSSIBLE["expectations"], on_failure="report"))

    assert isinstance(outcome, Done)
    assert outcome.evidence["suite"] == "unnamed"


def test_a_monitor_needs_a_batchs_name() -> None:
    """And a step without one is written as before."""
    with pytest.raises(InvalidStep, match="`monitor` needs `partition`"):
        quality(DAY, monitor="m")
    bare = quality(DAY)
    assert bare.digest() == quality(DAY, monitor="", partition="").digest()
    assert bare.digest() != quality(DAY, **KNOWN).digest()
    assert not {"monitor", "partition"} & set(bare.to_json())


def test_bad_data_can_be_only_reported(season: Season) -> None:
    """With `report`, the same failure is a value and the night goes on."""
    outcome = season.run(quality(DAY, suite=IMPOSSIBLE, on_failure="report", report=""))

    assert isinstance(outcome, Done)
    assert outcome.value["success"] is False
    assert "report" not in outcome.value


def test_a_retry_gets_the_recorded_outcome(season: Season) -> None:
    """A retry of finished work hands the record out and writes nothing."""
    first = season.run(quality(DAY))
    before = season.stores()

    assert season.run(quality(DAY), attempt=2) == first
    assert season.stores() == before


def test_other_data_is_other_work(season: Season) -> None:
    """The same step of the same run over data that has changed is checked again."""
    season.run(quality(DAY))
    season.land(DAY, schedule(DAYS[3], rows=60))
    outcome = season.run(quality(DAY), attempt=2)

    assert isinstance(outcome, Done)
    assert outcome.value["rows"] == 60


@pytest.mark.parametrize(
    "fields",
    [{"suite": None}, {"context_root": "gx", "suite_name": "parcels"}],
    ids=["none", "both"],
)
def test_wants_one_suite(fields: dict[str, Any]) -> None:
    """A suite as data or by name: neither or both is refused."""
    with pytest.raises(InvalidStep, match="give either `suite`, or both `context_root` and"):
        quality(DAY, **fields)
