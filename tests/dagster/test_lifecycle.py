"""The whole lifecycle of a tiny model, with real parts, on Dagster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from backbeat import Platform
from backbeat.drift import RetrainPolicy
from dagster_backbeat import BackbeatResource, Training, model_lifecycle

NIGHT = "{{ partition_key }}"
FIRST = date(2013, 3, 10)
DAYS = dg.DailyPartitionsDefinition("2013-03-01")
Keys = Callable[[dg.ExecuteInProcessResult], set[str]]

CODE = """
from sklearn.linear_model import LogisticRegression

def train(data, params):
    rows = data["rows"].to_table().to_pandas()
    return LogisticRegression().fit(rows[["x"]], rows["y"])
"""


def _land(root: Path, day: date, *, shift: float = 0.0) -> None:
    random = np.random.default_rng(day.toordinal())
    x = random.normal(size=2000) + shift
    y = (x - shift + random.normal(size=2000) > 0).astype(int)
    path = root / f"landing/{day}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": [f"{day}-{number:04}" for number in range(2000)], "x": x, "y": y})
    pq.write_table(table, path)


@pytest.fixture
def backbeat(tmp_path: Path) -> BackbeatResource:
    """A platform with registry and ledger."""
    return BackbeatResource(folder=str(tmp_path / "platform"))


@pytest.fixture
def platform(backbeat: BackbeatResource) -> Platform:
    """The resource's platform, where five days have landed."""
    root = Path(backbeat.folder) / "store"
    for back in range(5):
        _land(root, FIRST - timedelta(days=back))
    return backbeat.platform


@pytest.fixture
def options() -> dict[str, Any]:
    """What a test adds to the lifecycle."""
    return {}


@pytest.fixture
def defs(
    backbeat: BackbeatResource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> Iterator[dg.Definitions]:
    """A lifecycle whose training function lies in a module of its own."""
    (tmp_path / "tiny_training.py").write_text(dedent(CODE))
    monkeypatch.syspath_prepend(str(tmp_path))

    def days(shift: int, count: int) -> dict[str, Any]:
        return {"uri": "landing/{day}.parquet", "until": NIGHT, "shift": shift, "days": count}

    landed = dg.AssetSpec(["tiny", "landed"], partitions_def=DAYS)
    yield dg.Definitions.merge(
        dg.Definitions(assets=[landed]),
        model_lifecycle(
            model="tiny",
            backbeat=backbeat,
            partitions_def=DAYS,
            landed="tiny/landed",
            data=days(0, 1),
            suite={
                "name": "tiny",
                "expectations": [
                    {
                        "type": "expect_column_values_to_be_between",
                        "kwargs": {"column": "x", "min_value": -9, "max_value": 9},
                    }
                ],
            },
            current=days(0, 1),
            drift_columns=["x"],
            source=Training(
                function="tiny_training:train", data={"rows": days(-3, 2)}, features=["x"]
            ),
            trained=days(-3, 2),
            compared=days(-1, 2),
            labels=days(-1, 2),
            key="id",
            label_column="y",
            quorum=1,
            scores=f"scores/tiny/{NIGHT}",
            features=["x"],
            executor=dg.in_process_executor,
            **options,
        ),
    )
    sys.modules.pop("tiny_training", None)


@pytest.fixture
def night(
    defs: dg.Definitions, instance: dg.DagsterInstance, platform: Platform
) -> Callable[..., dg.ExecuteInProcessResult]:
    """Runs a night, or its continuation."""

    def run(day: date, request: dg.RunRequest | None = None) -> dg.ExecuteInProcessResult:
        return defs.resolve_job_def("tiny_lifecycle").execute_in_process(
            instance=instance,
            partition_key=day.isoformat(),
            tags={name: text for name, text in request.tags.items() if "backbeat" in name}
            if request
            else None,
            asset_selection=list(request.asset_selection or []) if request else None,
            raise_on_error=False,
        )

    return run


@pytest.fixture
def continuations(
    defs: dg.Definitions, instance: dg.DagsterInstance, backbeat: BackbeatResource
) -> Callable[[], list[dg.RunRequest]]:
    """What the sensor asks for."""

    def tick() -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=instance,
            repository_def=defs.get_repository_def(),
            resources={"backbeat": backbeat},
        )
        with context:
            found = defs.resolve_sensor_def("tiny_signoff").evaluate_tick(context)
        return list(found.run_requests or [])

    return tick


def test_nights_of_a_model(
    night: Any, continuations: Any, platform: Platform, decide: Any, materialized: Keys, defs: Any
) -> None:
    """A first champion is signed off and scores; a quiet night only scores; a broken one stops."""
    root = Path(platform.store.address("landing").removeprefix("file://")).parent
    asked = night(FIRST)
    assert asked.success
    assert materialized(asked) == {
        f"tiny/{name}" for name in ("drift", "candidate", "profile", "comparison")
    }
    assert platform.registry.alias("tiny", "champion") is None

    decide(people=["ada"])
    (request,) = continuations()
    continued = night(FIRST, request)
    assert materialized(continued) == {
        f"tiny/{name}" for name in ("signoff", "promoted", "champion", "scores")
    }
    assert platform.registry.alias("tiny", "champion") == "1"
    assert continuations() == []

    quiet_day = FIRST + timedelta(days=1)
    _land(root, quiet_day)
    quiet = night(quiet_day)
    assert quiet.success
    assert materialized(quiet) == {"tiny/drift", "tiny/champion", "tiny/scores"}

    broken_day = FIRST + timedelta(days=2)
    _land(root, broken_day, shift=50)
    broken = night(broken_day)
    assert not broken.success
    assert materialized(broken) == set()

    ended = {(r.kind, r.identity["partition"]): r.state for r in platform.ledger.runs()}
    assert ended["quality.check/v1", broken_day.isoformat()] == "blocked"
    assert ended["inference.batch/v1", quiet_day.isoformat()] == "done"
    runs = {
        r.identity["run"] for r in platform.ledger.runs() if r.identity["partition"] == str(FIRST)
    }
    assert runs == {asked.run_id}


@pytest.mark.parametrize(
    "options", [{"monitor": "monitors/tiny", "retrain": RetrainPolicy(cool_down_days=0)}]
)
def test_drift_that_stays_trains_one_candidate(
    night: Any, continuations: Any, platform: Platform, decide: Any, materialized: Keys
) -> None:
    """With a policy the first drifting night trains; the next one goes on with the champion."""
    root = Path(platform.store.address("landing").removeprefix("file://")).parent
    night(FIRST)
    decide(people=["ada"])
    (request,) = continuations()
    assert "tiny/promoted" in materialized(night(FIRST, request))
    nights = [FIRST + timedelta(days=number) for number in (1, 2)]
    for day in nights:
        _land(root, day, shift=1.5)
    first, second = (materialized(night(day)) for day in nights)
    assert "tiny/candidate" in first
    assert second == {"tiny/drift", "tiny/champion", "tiny/scores"}


@pytest.mark.parametrize("tags", [{}, {"backbeat/request": "so-0000000000000000"}])
def test_nothing_is_promoted_that_nobody_signed_off(
    tags: dict[str, str], night: Any, platform: Platform, materialized: Keys
) -> None:
    """A run of the promotion alone, or with a made-up request, fails closed."""
    night(FIRST)
    promotion = dg.RunRequest(
        tags=tags, asset_selection=[dg.AssetKey(["tiny", name]) for name in ("signoff", "promoted")]
    )
    alone = dg.RunRequest(asset_selection=[dg.AssetKey(["tiny", "promoted"])])
    for request in (promotion, alone):
        result = night(FIRST, request)
        assert materialized(result) == set()
    assert not result.success
    assert platform.registry.alias("tiny", "champion") is None


def test_a_drifted_night_scores_with_the_champion_where_the_challenger_is_no_better(
    night: Any, continuations: Any, platform: Platform, decide: Any, materialized: Keys
) -> None:
    """Nobody is asked, nothing is promoted, and tomorrow's rows are scored all the same."""
    root = Path(platform.store.address("landing").removeprefix("file://")).parent
    night(FIRST)
    decide(people=["ada"])
    night(FIRST, continuations()[0])
    drifted_day = FIRST + timedelta(days=3)
    for ahead in (1, 2):
        _land(root, FIRST + timedelta(days=ahead))
    _land(root, drifted_day, shift=2)
    result = night(drifted_day)
    assert result.success
    (verdict,) = result.asset_materializations_for_node("tiny__comparison")
    assert verdict.metadata["verdict"].value == "not_better"
    assert materialized(result) == {
        f"tiny/{name}"
        for name in ("drift", "candidate", "profile", "comparison", "champion", "scores")
    }
    assert platform.registry.alias("tiny", "champion") == "1"


def test_a_platform_without_a_ledger_is_refused_when_definitions_load(tmp_path: Path) -> None:
    """Sign-off needs rung 1, and that is said before anything runs."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"needs a ledger \(rung 1\)"):
        model_lifecycle(
            model="tiny",
            backbeat=BackbeatResource(folder=str(tmp_path), ledger="none"),
            partitions_def=DAYS,
            landed="landed",
            data="d",
            suite={"name": "s", "expectations": []},
            current="d",
            source="r",
            trained="d",
            compared="d",
            labels="d",
            key="id",
            label_column="y",
            scores="s",
        )
