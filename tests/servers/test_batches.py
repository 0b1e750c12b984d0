"""Jobs through a real LiteLLM proxy, with the double of the Batch API behind it as its provider."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from serving import answers, environment, serve

from backbeat import Actor, Done, Platform, RunIdentity, embedded, run_step
from backbeat.errors import Refused
from backbeat.inference import read_scores
from backbeat.kinds import step_from_fields
from backbeat.steps import BatchInference
from backbeat.testing import BatchServer, batch_server
from flights.processes import free_ports

_ASKED = os.environ.get("SERVERS", "").split()
_HERE = (environment("litellm") / ".ready").exists() and (not _ASKED or "litellm" in _ASKED)
pytestmark = pytest.mark.skipif(not _HERE, reason="make servers SERVERS=litellm")
KEY = f"sk-{secrets.token_urlsafe(24)}"
PROVIDERS = secrets.token_urlsafe(24)
# its own API, and the one that hands requests on
WAYS = {"batches": "/v1/batches", "passthrough": "/openai_passthrough/v1/batches"}


@pytest.fixture(scope="module")
def provider() -> Iterator[BatchServer]:
    """The Batch API behind the proxy."""
    with batch_server() as server:
        server.secret = PROVIDERS
        yield server


@pytest.fixture(scope="module")
def origin(provider: BatchServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy's origin."""
    folder = tmp_path_factory.mktemp("litellm-batches")
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    behind = f"http://127.0.0.1:{provider.port}"
    told = {"api_base": f"{behind}/v1", "api_key": PROVIDERS}
    config = {
        "model_list": [
            {"model_name": "small", "litellm_params": {"model": "openai/small", **told}}
        ],
        "files_settings": [{"custom_llm_provider": "openai", **told}],
        "router_settings": {"num_retries": 0},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    served = serve(
        [
            environment("litellm") / "bin" / "litellm",
            "--config=config.yaml",
            "--host=127.0.0.1",
            f"--port={port}",
            "--telemetry=False",
        ],
        folder,
        {},
        lambda: answers(f"{origin}/health/readiness"),
        {
            "LITELLM_MASTER_KEY": KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # for what it hands on
            "OPENAI_API_KEY": PROVIDERS,
            "OPENAI_API_BASE": behind,
        },
    )
    yield origin
    served.stop()


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform without a ledger, with a table of prompts and the proxy's key."""
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_LLM", json.dumps({"bearer": KEY}))
    platform = embedded(tmp_path, ledger=False, registry=False)
    with platform.store.writing("day.parquet") as path:
        pq.write_table(pa.table({"id": [1, 2, 3], "prompt": ["a", "b", "c"]}), path)
    return platform


def score(platform: Platform, address: str, **serving: Any) -> Any:
    """One scoring of the table."""
    step = step_from_fields(
        BatchInference,
        {
            "model": address,
            "data": "day.parquet",
            "output_key": "scores",
            "key": ["id"],
            "serving": {"credentials": "llm", "jobs": {"poll_seconds": 0.05}, **serving},
        },
    )
    actor = Actor(id="ana", method="python")
    who = RunIdentity(workflow="nightly", run="r1", task="score", actor=actor)
    return run_step(step, who, platform)


def address(origin: str, way: str) -> str:
    """The model's address by one of the proxy's ways."""
    return f"openai-batch+{origin}{WAYS[way]}?model=small"


@pytest.mark.parametrize("way", WAYS)
def test_a_job_goes_through_a_proxy(
    way: str, origin: str, provider: BatchServer, platform: Platform
) -> None:
    """Files up, job, files down; the provider's key is the proxy's alone."""
    before = len(provider.batches)
    done = score(platform, address(origin, way))
    assert isinstance(done, Done)
    assert read_scores(platform.store, "scores")["text"].to_pylist() == ["A", "B", "C"]
    assert len(provider.batches) == before + 1


@pytest.mark.parametrize(("way", "jobs"), [("batches", 1), ("passthrough", 2)])
def test_a_job_whose_answer_was_lost_is_found_where_its_metadata_is(
    way: str,
    jobs: int,
    origin: str,
    provider: BatchServer,
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """LiteLLM's own API keeps what stands in it; its passthrough puts its own in its place."""
    before = len(provider.batches)
    with monkeypatch.context() as patch:
        patch.setattr("backbeat.inference.jobs.notes.Notes.record", _lost)
        with pytest.raises(RuntimeError):
            score(platform, address(origin, way))
    score(platform, address(origin, way))
    assert len(provider.batches) == before + jobs
    assert read_scores(platform.store, "scores")["text"].to_pylist() == ["A", "B", "C"]


def _lost(*_: Any) -> str:
    raise RuntimeError


def test_a_key_that_the_proxy_does_not_know_is_refused_at_once(
    origin: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And shown to nobody."""
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_LLM", '{"bearer": "sk-nobody-0123456789"}')
    with pytest.raises(Refused) as told:
        score(platform, address(origin, "batches"))
    assert "sk-nobody" not in str(told.value)
