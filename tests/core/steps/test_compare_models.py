from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from parcels import CHAMPION, DAYS, MODEL, Season, comparison, documented_value, outcomes, schedule

from backbeat import Done
from backbeat.errors import InvalidData, Refused
from backbeat.steps import CompareModels


def compared(season: Season, run: str = "night-1", **fields: object) -> Done:
    """A comparison that went well."""
    outcome = season.run(comparison(**fields), run=run)
    assert isinstance(outcome, Done)
    return outcome


def test_both_are_scored_on_the_same_rows(season: Season) -> None:
    """The value has both scores, the interval, the versions, and a digest of all of it."""
    outcome = compared(season)

    assert set(outcome.value) == documented_value(CompareModels)
    assert outcome.value["verdict"] == "better"
    assert outcome.value["champion_version"] == "1"
    assert outcome.value["challenger_version"] == outcome.value["version"] == "2"
    assert outcome.value["model"] == MODEL
    assert outcome.value["rows"] == 800
    value = outcome.value
    assert value["difference"] == pytest.approx(value["champion"] - value["challenger"])
    assert 0 < value["low"] < value["difference"] < value["high"]
    assert outcome.evidence["inputs"]["champion"] == f"models:/{MODEL}/1"


def test_the_scores_are_those_of_the_models(season: Season) -> None:
    """The log loss is the one that scikit-learn computes from the registered models' own scores."""
    from sklearn.metrics import log_loss

    value = compared(season).value
    frame = schedule(DAYS[3]).to_pandas()
    truth = outcomes(DAYS[3])["late"].to_numpy()
    for who, uri in (("champion", CHAMPION), ("challenger", f"models:/{MODEL}/2")):
        scores = np.asarray(season.platform.registry.load(uri).predict(frame))[:, 1]
        assert value[who] == pytest.approx(log_loss(truth, scores))


def test_is_deterministic(season: Season) -> None:
    """Another night with the same models, rows and seed has the same value, digest and all."""
    first = compared(season)
    season.platform = Season(season.folder).platform

    assert compared(season, run="night-2") == first


def test_the_order_of_the_rows_does_not_matter(season: Season) -> None:
    """Rows are paired by their key, not by where they happen to stand."""
    straight = compared(season).value
    turned = season.land("bad/turned.parquet", outcomes(DAYS[3])[::-1])
    value = compared(season, labels=turned).value

    for name in ("champion", "challenger", "difference", "low", "high"):
        assert value[name] == straight[name]


def test_the_label_is_kept_from_the_models(season: Season) -> None:
    """One table with features and labels can be both sides: the models do not see the label."""
    both = schedule(DAYS[3]).append_column("late", outcomes(DAYS[3])["late"])
    key = season.land("landing/both.parquet", both)

    assert compared(season, data=key, labels=key).value["champion"] == pytest.approx(
        compared(season).value["champion"]
    )


def test_a_key_may_be_laid_out_differently(season: Season) -> None:
    """A narrower integer on one side is the same key, and columns that cannot join come along."""
    labels = outcomes(DAYS[3])
    narrow = labels.set_column(0, "parcel_id", labels["parcel_id"].cast(pa.uint32()))
    listed = schedule(DAYS[3]).append_column("notes", pa.array([["fragile"]] * 800))
    value = compared(
        season,
        data=season.land("landing/listed.parquet", listed),
        labels=season.land("landing/narrow.parquet", narrow),
    ).value

    assert value["rows"] == 800


def test_only_rows_with_a_label_count(season: Season) -> None:
    """A row whose label has not arrived, or is null, is left out for both models."""
    labels = outcomes(DAYS[3])
    late = labels["late"].to_pylist()
    late[:10] = [None] * 10
    part = labels.set_column(1, "late", pa.array(late, pa.int64())).slice(0, 100)

    assert compared(season, labels=season.land("landing/part.parquet", part)).value["rows"] == 90


def test_without_a_champion_there_is_nothing_to_beat(season: Season) -> None:
    """An alias that does not exist yet gives `no_champion` and the challenger's own score."""
    value = compared(season, champion=f"models:/{MODEL}@blue").value

    assert value["verdict"] == "no_champion"
    assert value["champion"] is None
    assert value["champion_version"] is None
    assert value["challenger"] > 0
    assert value["difference"] is None


def test_an_equal_challenger_is_not_better(season: Season) -> None:
    """A model is not better than itself."""
    value = compared(season, challenger=f"models:/{MODEL}/1").value

    assert value["verdict"] == "not_better"
    assert value["difference"] == 0


@pytest.mark.parametrize(
    ("until", "days", "who", "through"),
    [("2024-05-03", 1, 2, "2024-05-03"), ("2024-05-04", 3, 2, "2024-05-03")],
)
def test_days_that_a_model_was_trained_on_are_refused(
    until: str, days: int, who: int, through: str, shared: Season
) -> None:
    """A comparison over a day that either model has seen is refused, and on record as such."""
    before = shared.stores()
    window = {"until": until, "days": days}
    task = comparison(
        data={"uri": "landing/parcels/{day}.parquet", **window},
        labels={"uri": "landing/late/{day}.parquet", **window},
    )
    with pytest.raises(Refused) as caught:
        shared.run(task)

    first = DAYS[int(until[-2:]) - days]
    assert caught.value.message == (
        f"models:/{MODEL}/{who} was trained through {through}, and the comparison begins on "
        f"{first}: a model is not judged on days that it has seen"
    )
    assert caught.value.hint == "compare on later days, or train on earlier ones"
    assert shared.stores() == before
    assert "model.compare/v1" in shared.ended("denied")


def test_the_champions_days_are_refused_too(season: Season) -> None:
    """It is not only the challenger that must not have seen the days."""
    window = {"until": "2024-05-02"}
    season.platform.registry.tag_version(MODEL, "2", {"backbeat.trained_through": "2024-05-01"})
    with pytest.raises(Refused, match=f"models:/{MODEL}/1 was trained through 2024-05-02"):
        season.run(
            comparison(
                data={"uri": "landing/parcels/{day}.parquet", **window},
                labels={"uri": "landing/late/{day}.parquet", **window},
            )
        )


def test_a_tag_that_is_no_day(season: Season) -> None:
    """A tag that somebody else wrote is not guessed at."""
    season.platform.registry.tag_version(MODEL, "2", {"backbeat.trained_through": "in May"})
    with pytest.raises(InvalidData) as caught:
        season.run(comparison())

    assert caught.value.message == (
        "models:/parcels/2 has the tag backbeat.trained_through='in May', which is no day"
    )
    assert caught.value.hint.startswith("set the tag to the last day of its training data")


def test_a_retry_gets_the_recorded_outcome(season: Season) -> None:
    """A retry hands the record out though the champion's files are gone by then."""
    first = season.run(comparison())
    before = season.stores()

    assert season.run(comparison(), attempt=2) == first
    assert season.stores() == before
