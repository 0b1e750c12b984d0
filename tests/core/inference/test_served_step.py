"""BatchInference with a served model: pinned, capped, authenticated, and replayed by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import Actor, Done, Platform, RunIdentity, embedded, run_step
from backbeat.errors import BudgetSpent, Conflict, InvalidStep, Refused, UnmetNeed, Unreachable
from backbeat.inference import read_scores
from backbeat.kinds import step_from_fields
from backbeat.steps import BatchInference

QUICK = {"deadline_seconds": 5, "base_seconds": 0.001, "cap_seconds": 0.002, "in_flight": 2}
ROWS = 100


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform with a ledger, no registry, and a table."""
    found = embedded(tmp_path / "platform", registry=False)
    path = tmp_path / "platform/store/day.parquet"
    path.parent.mkdir(parents=True)
    table = {"id": [f"i{n}" for n in range(ROWS)], "x": [float(n) for n in range(ROWS)]}
    pq.write_table(pa.table(table), path)
    return found


def score(
    platform: Platform, address: str, *, attempt: int = 1, run: str = "r1", **given: Any
) -> Any:
    """One scoring of the table."""
    serving = {"resilience": QUICK, "request_rows": 10, **given.pop("serving", {})}
    step = step_from_fields(
        BatchInference,
        {
            "model": address,
            "data": "day.parquet",
            "output_key": "scores/day",
            "key": ["id"],
            "shard_rows": 40,
            "serving": serving,
            **given,
        },
    )
    identity = RunIdentity(
        workflow="nightly",
        run=run,
        task="score",
        attempt=attempt,
        actor=Actor(id="ana", method="python"),
    )
    return run_step(step, identity, platform)


def test_a_table_is_scored_by_a_served_model(platform: Platform, server: Any) -> None:
    """Without a registry; the value says what it came to, the manifest where it comes from."""
    server.version = "7"
    done = score(platform, server.address, serving={"prices": {"a_call": 0.5}})
    assert isinstance(done, Done)
    assert done.value | {"digest": ""} == {
        "output": "scores/day",
        "rows": 100,
        "shards": 3,
        "reused": 0,
        "digest": "",
        "model": server.address,
        "version": "7",
        "bad": 0,
        "calls": 10,
        "cost": 5.0,
        "repeated": 0,
    }
    assert done.metrics["calls"] == 10
    assert done.metrics["seconds.p99"] >= done.metrics["seconds.p50"] > 0
    scores = read_scores(platform.store, "scores/day")
    assert scores["score"].to_pylist() == [2.0 * n for n in range(ROWS)]
    assert set(scores["model_version"].to_pylist()) == {f"{server.address}@7"}
    assert b'"provenance"' in platform.store.read("scores/day/manifest.json")


def test_the_same_rows_and_version_are_not_paid_again(platform: Platform, server: Any) -> None:
    """Another run reuses every shard; another version of the model none."""
    server.version = "7"
    score(platform, server.address)
    again = score(platform, server.address, run="r2")
    assert (again.value["reused"], again.value["calls"]) == (3, 0)
    server.version = "8"
    other = score(platform, server.address, run="r3")
    assert (other.value["reused"], other.value["version"]) == (0, "8")


def test_other_parameters_are_other_work_and_another_policy_is_not(
    platform: Platform, server: Any
) -> None:
    """What decides the answers is a part of the key; how they are got is not."""
    score(platform, server.address)
    assert (
        score(platform, server.address, run="r2", serving={"request_rows": 20}).value["calls"] == 0
    )
    changed = score(platform, server.address, run="r3", serving={"parameters": {"seed": 1}})
    assert changed.value["calls"] == 10


def test_a_version_that_changes_in_between_is_a_conflict(platform: Platform, server: Any) -> None:
    """Scores of two versions are never mixed in one output."""
    server.versions, server.version = ["7"], "8"
    with pytest.raises(Conflict, match="Version 8 of the model answered, and 7 was asked for"):
        score(platform, server.address)
    assert not platform.store.exists("scores/day/manifest.json")


def test_a_cap_that_cannot_hold_is_refused_before_the_first_call(
    platform: Platform, server: Any
) -> None:
    """The forecast is without any retry."""
    with pytest.raises(BudgetSpent, match="10 calls are needed without any retry"):
        score(platform, server.address, serving={"max_calls": 9})
    with pytest.raises(BudgetSpent, match="10 calls cost 5 at least, and max_cost is 4"):
        score(platform, server.address, serving={"prices": {"a_call": 0.5}, "max_cost": 4.0})
    assert server.asked == []


def test_a_cap_counts_over_attempts_in_the_ledger(platform: Platform, server: Any) -> None:
    """Retries use it up too; the second attempt has only what the first has left."""
    server.failing = [(500, {})] * 4
    with pytest.raises(BudgetSpent, match="max_calls=12"):
        score(platform, server.address, serving={"max_calls": 12})
    assert len(server.asked) == 12
    with pytest.raises(BudgetSpent, match="max_calls=12"):
        score(platform, server.address, attempt=2, serving={"max_calls": 12})
    assert len(server.asked) == 12
    done = score(platform, server.address, attempt=3, serving={"max_calls": 50})
    assert done.value["rows"] == 100
    assert done.value["calls"] == 2


def test_a_server_that_is_down_can_be_tried_again(platform: Platform, server: Any) -> None:
    """The error is one that a retry helps, and keeps what was answered."""
    server.fails_after = 5
    policy = {**QUICK, "attempts": 1, "in_flight": 1}
    with pytest.raises(Unreachable):
        score(platform, server.address, serving={"resilience": policy})
    server.fails_after = None
    done = score(platform, server.address, attempt=2, serving={"resilience": policy})
    assert (done.value["calls"], done.value["repeated"]) == (5, 1)


def test_a_bearer_goes_along_and_nowhere_into_the_record(
    platform: Platform, server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the environment, or from a file that it names; it is in no file of the platform."""
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_MY_MODEL", '{"bearer": "hunter2-0123456789"}')
    score(platform, server.address, serving={"credentials": "my-model"})
    assert {sent["authorization"] for sent in server.headers} == {"Bearer hunter2-0123456789"}
    kept = [path for path in (tmp_path / "platform").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in path.read_bytes() for path in kept)
    secret = tmp_path / "secret.json"
    secret.write_text('{"bearer": "other-0123456789"}')
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_MY_MODEL", str(secret))
    score(
        platform,
        server.address,
        run="r2",
        serving={"credentials": "my-model", "parameters": {"a": 1}},
    )
    assert server.headers[-1]["authorization"] == "Bearer other-0123456789"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "there are no credentials 'm'"),
        ("{half", "neither a JSON object"),
        ('{"bearer": 1}', "neither a JSON object"),
        ('{"token": "x"}', "unknown field 'token'"),
        ('{"user": "x", "password": ""}', None),
        ('{"password": "x"}', "lack 'user'"),
    ],
)
def test_credentials_that_are_none_are_told_and_not_shown(
    platform: Platform,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    value: str | None,
    says: str | None,
) -> None:
    """Before any call."""
    if value is not None:
        monkeypatch.setenv("BACKBEAT_CREDENTIALS_M", value)
    if says is None:
        assert isinstance(score(platform, server.address, serving={"credentials": "m"}), Done)
        return
    with pytest.raises(UnmetNeed, match=says):
        score(platform, server.address, serving={"credentials": "m"})


@pytest.mark.parametrize("asked_as", ["model", "fallback", "doubtful"])
def test_an_address_that_is_not_allowed_is_refused_at_the_claim(
    platform: Platform, server: Any, monkeypatch: pytest.MonkeyPatch, asked_as: str
) -> None:
    """Whatever it is there for, nothing is sent, and the record says that it was refused."""
    monkeypatch.setenv("BACKBEAT_ALLOWED_ADDRESSES", f"http://127.0.0.1:{server.port}")
    other = "kserve-v1+http://models.example.com/v1/models/m"
    model = other if asked_as == "model" else server.address
    serving: dict[str, Any] = {} if asked_as == "model" else {asked_as: other}
    if asked_as == "doubtful":
        serving["at_least"] = 0.5
    with pytest.raises(Refused, match=r"models\.example\.com"):
        score(platform, model, serving=serving)
    assert server.headers == []
    (record,) = platform.ledger.runs()
    assert record.state == "denied"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "models:/m@champion"}, "`serving` says how a served model is asked"),
        ({"model": "oip2+http://127.0.0.1:1/x"}, "No protocol is called 'oip2'"),
        ({"serving": {"fallback": "http://x"}}, "is no address of a served model"),
        ({"serving": {"doubtful": "kserve-v1+http://h:1/v1/models/m"}}, "without `at_least`"),
        ({"serving": {"max_call": 1}}, "serving.max_call"),
        ({"serving": {"resilience": {"attempts": 0}}}, "attempts"),
    ],
)
def test_slips_are_refused_before_anything_is_asked(fields: dict[str, Any], says: str) -> None:
    """When the step is built: in a DAG file, that is when it is parsed."""
    words: dict[str, Any] = {
        "model": "kserve-v1+http://127.0.0.1:1/v1/models/m",
        "data": "day.parquet",
        "output_key": "s",
        "key": ["id"],
        "serving": {},
        **fields,
    }
    with pytest.raises(InvalidStep, match=says):
        step_from_fields(BatchInference, words)


def test_unsure_rows_go_to_another_model(platform: Platform, serving: Callable[[], Any]) -> None:
    """Its version is in the row, and the route says so."""
    first, second = serving(), serving()
    first.sure = lambda x: 0.1 if x < 10 else 0.9
    second.sure, second.factor = (lambda x: 0.99), 3
    done = score(platform, first.address, serving={"at_least": 0.5, "doubtful": second.address})
    scores = read_scores(platform.store, "scores/day").to_pylist()
    assert [row["score"] for row in scores[:10]] == [3.0 * n for n in range(10)]
    assert {row["route"] for row in scores[:10]} == {"fallback"}
    assert done.value["calls"] == 11
