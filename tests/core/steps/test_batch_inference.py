from __future__ import annotations

from parcels import DAYS, MODEL, Season, documented_value, promotion, schedule, scoring

from backbeat import Done
from backbeat.inference import read_scores
from backbeat.steps import BatchInference

DAY = "landing/parcels/2024-05-04.parquet"


def test_every_row_is_scored_once(season: Season) -> None:
    """The manifest leads to one score a row, with the key, the model and its version."""
    outcome = season.run(scoring({"uri": "landing/parcels/{day}.parquet", "until": "2024-05-04"}))

    assert isinstance(outcome, Done)
    assert set(outcome.value) == documented_value(BatchInference)
    digest = outcome.value["digest"]
    assert outcome.value == {
        "output": "scores/new",
        "rows": 800,
        "shards": 3,
        "reused": 0,
        "digest": digest,
        "model": MODEL,
        "version": "1",
    }
    scores = read_scores(season.platform.store, "scores/new")
    assert scores["parcel_id"].to_pylist() == schedule(DAYS[3])["parcel_id"].to_pylist()
    assert set(scores["model_version"].to_pylist()) == {f"models:/{MODEL}/1"}
    assert set(scores["partition"].to_pylist()) == {"2024-05-04"}


def test_a_retry_scores_only_what_is_missing(season: Season) -> None:
    """Content replay: a lost shard is scored again, the others are reused, the digest is equal."""
    first = season.run(scoring(DAY))
    lost = next(key for key in season.platform.store.keys("scores/new/part-00001"))
    season.platform.store.delete(lost)
    again = season.run(scoring(DAY), attempt=2)

    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert again.value == {**first.value, "reused": 2}
    assert season.platform.store.exists(lost)


def test_the_alias_is_pinned_at_the_claim(season: Season) -> None:
    """After a promotion the same step is other work, and its manifest names the new version."""
    season.run(scoring(DAY))
    season.run(promotion("2"))
    again = season.run(scoring(DAY), attempt=2)

    assert isinstance(again, Done)
    assert again.value["version"] == "2"
    assert again.value["reused"] == 0
    scores = read_scores(season.platform.store, "scores/new")
    assert set(scores["model_version"].to_pylist()) == {f"models:/{MODEL}/2"}
    assert len(scores) == 800
