from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from parcels import (
    DAYS,
    FEATURES,
    MODEL,
    Season,
    built_once,
    comparison,
    drift,
    profile,
    promotion,
    quality,
    schedule,
    scoring,
    step,
)

from backbeat import Done, embedded
from backbeat.errors import InvalidStep
from backbeat.runner import tick

Node = tuple[str, str, str]


def test_what_others_did_is_on_record(season: Season) -> None:
    """Data in the store is digested now, data elsewhere taken at its word; facts are the value."""
    key = season.land("landing/extra.parquet", schedule(DAYS[0]))
    outcome = season.run(
        step(
            "lineage.log",
            inputs=[{"uri": "s3://bucket/raw.csv", "digest": "sha256:00", "format": "csv"}],
            outputs=[
                key,
                {"uri": "landing/parcels/{day}.parquet", "until": "2024-05-02", "days": 2},
            ],
            facts={"rows": 800},
        )
    )

    assert isinstance(outcome, Done)
    assert outcome.value == {"rows": 800}
    assert [ref.uri for ref in outcome.inputs] == ["s3://bucket/raw.csv"]
    assert [ref.uri for ref in outcome.outputs] == [
        "landing/extra.parquet",
        "landing/parcels/2024-05-01.parquet",
        "landing/parcels/2024-05-02.parquet",
    ]
    assert [ref.partition for ref in outcome.outputs[1:]] == ["2024-05-01", "2024-05-02"]


def test_a_retry_gets_the_recorded_outcome(season: Season) -> None:
    """What was recorded stays recorded, though the file has changed since."""
    key = season.land("landing/extra.parquet", schedule(DAYS[0]))
    first = season.run(step("lineage.log", outputs=[key]))
    season.land(key, schedule(DAYS[1]))

    assert season.run(step("lineage.log", outputs=[key]), attempt=2) == first


def test_a_fact_that_is_no_json(shared: Season) -> None:
    """NaN has no place in a record: it is refused, not turned into something else."""
    before = shared.stores()
    with pytest.raises(InvalidStep, match="holds a value that JSON cannot say"):
        shared.run(step("lineage.log", facts={"share": float("nan")}))

    assert shared.stores() == before


def play(blank: Season) -> None:
    """A whole chain of steps, whose lineage is written to the store."""
    blank.platform = embedded(blank.folder)
    window = {"until": "2024-05-02", "days": 2}
    features = {"uri": "landing/parcels/{day}.parquet", **window}
    labels = {"uri": "landing/late/{day}.parquet", **window}

    def run(name: str, task: Any) -> dict[str, Any]:
        outcome = blank.run(task, task=name)
        assert isinstance(outcome, Done), outcome
        return outcome.value

    run("land", step("lineage.log", outputs=[features, labels]))
    run("check", quality(features))
    trained = run(
        "train",
        step(
            "model.train",
            function="parcels:train",
            data={"features": features, "labels": labels},
            features=list(FEATURES),
        ),
    )
    candidate = run(
        "candidate",
        step(
            "model.candidate",
            model=MODEL,
            source=trained["model_uri"],
            trained_through=trained["trained_through"],
        ),
    )
    run("profile", profile(features, model=candidate["uri"]))
    run("compare", comparison(challenger=candidate["uri"]))
    run("promote", promotion("1", expected=None))
    run("drift", drift("landing/parcels/2024-05-04.parquet"))
    run("score", scoring("landing/parcels/2024-05-04.parquet"))
    tick(blank.platform)


@pytest.fixture(scope="module")
def chain(
    empty: Season, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """The lineage events of the chain, by task."""
    season = built_once(tmp_path_factory, "chain", play, copied_from=empty)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for key in season.platform.store.keys("lineage/"):
        event = json.loads(season.platform.store.read(key))
        found[event["job"]["name"].removeprefix("nightly.")].append(event)
    return found


def nodes(event: dict[str, Any], side: str) -> set[Node]:
    """Namespace, name and version of every dataset on one side of an event."""
    return {
        (item["namespace"], item["name"], item["facets"]["version"]["datasetVersion"])
        for item in event[side]
    }


def test_the_chain_joins_up(chain: dict[str, list[dict[str, Any]]]) -> None:
    """What one step has written, the next has read: the same name, and the same version of it."""
    ended = {
        task: event
        for task, events in chain.items()
        for event in events
        if event["eventType"] == "COMPLETE"
    }
    assert set(ended) == {
        "land",
        "check",
        "train",
        "candidate",
        "profile",
        "compare",
        "promote",
        "drift",
        "score",
    }
    read = {task: nodes(event, "inputs") for task, event in ended.items()}
    wrote = {task: nodes(event, "outputs") for task, event in ended.items()}

    assert read["check"] < wrote["land"]
    assert read["train"] == wrote["land"]
    assert read["candidate"] == wrote["train"]
    assert read["profile"] == read["check"]
    assert wrote["profile"] < read["drift"]
    assert wrote["candidate"] <= read["compare"]
    assert read["promote"] == wrote["candidate"]
    assert wrote["candidate"] < read["score"]
    assert {name for _, name, _ in wrote["promote"]} == {f"models:/{MODEL}@champion"}
    assert {version for _, _, version in wrote["promote"]} == {"1"}
    assert {name for _, name, _ in wrote["score"]} == {"scores/new"}
    # the day that was scored is the very file that was looked at for drift and compared on
    day = {node for node in read["score"] if node[1].endswith("2024-05-04.parquet")}
    assert len(day) == 1
    assert day < read["drift"]
    assert day < read["compare"]


def test_every_step_starts_and_ends(chain: dict[str, list[dict[str, Any]]]) -> None:
    """A START and a COMPLETE of one run each, all children of the workflow's run."""
    for events in chain.values():
        assert sorted(event["eventType"] for event in events) == ["COMPLETE", "START"]
        assert len({event["run"]["runId"] for event in events}) == 1
    parents = {
        event["run"]["facets"]["parent"]["run"]["runId"]
        for events in chain.values()
        for event in events
    }
    assert len(parents) == 1


def test_facts_travel_with_the_edges(chain: dict[str, list[dict[str, Any]]]) -> None:
    """Assertions sit on what was checked, row counts on what was written."""
    checked = next(event for event in chain["check"] if event["eventType"] == "COMPLETE")
    facets = [item["inputFacets"]["dataQualityAssertions"] for item in checked["inputs"]]
    assert all(facet["assertions"][0]["success"] for facet in facets)
    judged = next(event for event in chain["drift"] if event["eventType"] == "COMPLETE")
    told = {
        item["name"].rpartition("/")[2]: item["inputFacets"].get("dataQualityAssertions")
        for item in judged["inputs"]
    }
    said = told.pop("2024-05-04.parquet")["assertions"]
    assert {"drift"} == {item["assertion"] for item in said}
    assert "column" not in said[0]
    assert {item["column"] for item in said[1:]} >= {"distance_km"}
    assert set(told.values()) == {None}  # nothing is asserted about the profile
    scored = next(event for event in chain["score"] if event["eventType"] == "COMPLETE")
    assert scored["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 800
