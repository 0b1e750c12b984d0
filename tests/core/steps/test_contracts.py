"""Contracts at both ends of a step: held before the work, and before anything is published."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from parcels import (
    DAYS,
    Season,
    comparison,
    drift,
    failure,
    outcomes,
    profile,
    quality,
    schedule,
    scoring,
    step,
    training,
)

from backbeat import Done, Step
from backbeat.canonical import digest
from backbeat.contract import contract_of
from backbeat.data import references
from backbeat.errors import Conflict, ContractBroken, InvalidData, NotFound
from backbeat.inference import read_scores
from backbeat.reference import Dataset
from backbeat.step import StepContext

DAY = "landing/parcels/2024-05-04.parquet"
READ = {
    "labels": "landing/late/2024-05-04.parquet",
    "training": "landing/parcels/2024-05-01.parquet",  # the day whose labels it learns from
}
READERS: dict[str, Callable[[Any], Step]] = {
    "quality": quality,
    "profile": profile,
    "drift": drift,
    "training": training,
    "comparison": comparison,
    "labels": lambda labels: comparison(labels=labels),
    "scoring": scoring,
    "logged input": lambda data: step("lineage.log", inputs=[data]),
    "logged output": lambda data: step("lineage.log", outputs=[data]),
}
SCORES: dict[str, Any] = {
    "name": "scores",
    "version": "1.0.0",
    "columns": [
        {"name": "parcel_id", "type": "int64", "nullable": False},
        {"name": "score", "type": "float64", "nullable": False, "minimum": 0, "maximum": 1},
        {"name": "model_version", "type": "string", "nullable": False},
    ],
    "rows": {"minimum": 800, "maximum": 800},
    "key": ["parcel_id"],
}


def _promise(season: Season, document: dict[str, Any], *, indent: int | None = None) -> str:
    """Put a contract in the store; returns its key."""
    season.land_bytes("contracts/it.json", json.dumps(document, indent=indent).encode())
    return "contracts/it.json"


def _kept(reader: str) -> dict[str, Any]:
    table = outcomes(DAYS[3]) if reader == "labels" else schedule(DAYS[3])
    return contract_of(table, name="parcels").to_json()


def _broken(reader: str) -> dict[str, Any]:
    document = _kept(reader)
    number = next(item for item in document["columns"] if item["name"] == "parcel_id")
    return {**document, "columns": [{**number, "maximum": 5}, {"name": "gone", "type": "bool"}]}


@pytest.mark.parametrize("reader", READERS)
class TestAnInput:
    def test_that_breaks_its_contract_stops_the_step(self, reader: str, season: Season) -> None:
        """Schema and values are both named, no retry helps, and nothing is written."""
        uri = READ.get(reader, DAY)
        contract = _promise(season, _broken(reader))
        error = failure(season, READERS[reader]({"uri": uri, "contract": contract}), ContractBroken)

        assert f"({uri}) does not keep the contract parcels 1.0.0" in error.message
        assert "- gone: bool\n+ gone: missing" in error.message
        assert "- parcel_id: at most 5\n+ parcel_id: is not at most 5 in 800 rows" in error.message

    def test_that_keeps_it_disturbs_nothing(self, reader: str, season: Season) -> None:
        """A contract that is kept changes nothing of what the step does."""
        uri = READ.get(reader, DAY)
        contract = _promise(season, _kept(reader))
        outcome = season.run(READERS[reader]({"uri": uri, "contract": contract}))
        bare = season.run(READERS[reader](uri), run="bare")

        assert isinstance(outcome, Done)
        assert isinstance(bare, Done)
        assert set(outcome.value) == set(bare.value)
        assert outcome.inputs == bare.inputs


def test_a_contract_that_is_not_there_stops_the_step(season: Season) -> None:
    """A promise that cannot be read is not taken as kept."""
    error = failure(season, profile({"uri": DAY, "contract": "contracts/gone.json"}), NotFound)
    assert "contracts/gone.json" in error.message


def test_a_contract_that_is_none_stops_the_step(season: Season) -> None:
    """Neither is one that does not validate."""
    contract = _promise(season, {"name": "parcels"})
    error = failure(season, profile({"uri": DAY, "contract": contract}), InvalidData)
    assert "no data contract" in error.message


def test_another_contract_is_another_piece_of_work(season: Season) -> None:
    """What it says is pinned with the data; how its file is laid out is not."""
    checked = profile({"uri": DAY, "contract": "contracts/it.json"})
    document = _kept("profile")

    def pinned() -> str:
        season.run(checked)
        return str(season.platform.ledger.runs(limit=1)[0].inputs["data"])

    _promise(season, document)
    first = pinned()
    _promise(season, document, indent=2)
    assert pinned() == first
    _promise(season, {**document, "rows": {"minimum": 1}})
    assert pinned() != first


def test_data_without_a_contract_is_pinned_as_ever(season: Season) -> None:
    """The keys of work that older versions have recorded stay what they are."""
    season.run(profile(DAY))
    refs = references(season.platform.store, Dataset(uri=DAY))
    (record,) = season.platform.ledger.runs(limit=1)
    assert record.inputs["data"] == digest([[ref.uri, ref.digest] for ref in refs])


def test_a_contract_that_changes_meanwhile_is_a_conflict(season: Season) -> None:
    """Between claim and work the promise was replaced: nothing is written under either."""
    fields = {"uri": DAY, "contract": _promise(season, _kept("profile"))}

    class Moving(type(profile(DAY))):  # type: ignore[misc]
        def perform(self, ctx: StepContext) -> Any:
            _promise(season, {**_kept("profile"), "rows": {"minimum": 1}})
            return super().perform(ctx)

    with pytest.raises(Conflict, match=r"or its contract \(contracts/it.json\), changed while"):
        season.run(Moving.model_validate(profile(fields).model_dump()))
    assert not season.platform.store.exists("profiles/new.json")


def test_scores_that_keep_their_contract_are_published(season: Season) -> None:
    """The contract is pinned beside the model, and the manifest is there."""
    outcome = season.run(scoring(DAY, output_contract=_promise(season, SCORES)))

    assert isinstance(outcome, Done)
    assert len(read_scores(season.platform.store, "scores/new")) == 800
    (record,) = season.platform.ledger.runs(limit=1)
    assert record.inputs["output_contract"].startswith("sha256:")


def test_scores_that_break_their_contract_are_not_published(season: Season) -> None:
    """The old manifest stays; once the contract is repaired, the shards are not scored again."""
    season.run(scoring("landing/parcels/2024-05-03.parquet"), run="before")
    before = season.platform.store.read("scores/new/manifest.json")
    narrow = [{"name": "score", "type": "float64", "maximum": 0.001}]
    contract = _promise(season, {**SCORES, "columns": narrow, "key": []})

    with pytest.raises(ContractBroken, match=r"scores \(scores/new\) does not keep the contract"):
        season.run(scoring(DAY, output_contract=contract))
    assert season.platform.store.read("scores/new/manifest.json") == before

    _promise(season, SCORES)
    outcome = season.run(scoring(DAY, output_contract=contract), attempt=2)
    assert isinstance(outcome, Done)
    assert outcome.value["reused"] == outcome.value["shards"] == 3


def test_a_missing_output_contract_is_found_before_the_work(season: Season) -> None:
    """No model is called for scores that could not be published."""
    error = failure(season, scoring(DAY, output_contract="contracts/gone.json"), NotFound)
    assert "contracts/gone.json" in error.message
