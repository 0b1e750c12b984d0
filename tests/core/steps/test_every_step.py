"""What holds for every step: its kind, its JSON, its documentation, its declared needs."""

from __future__ import annotations

import inspect
import json
import re

import pytest
from parcels import (
    MODEL,
    comparison,
    documented_value,
    drift,
    profile,
    promotion,
    quality,
    scoring,
    step,
    training,
)

import backbeat.steps
from backbeat import Step
from backbeat.kinds import KINDS, step_class, step_from_json
from backbeat.step import Replay

DAY = "landing/parcels/2024-05-04.parquet"
WINDOW = {"uri": "landing/parcels/{day}.parquet", "until": "2024-05-04", "shift": -1, "days": 2}
EXAMPLES: dict[str, Step] = {
    "drift.check/v1": drift(WINDOW, columns=["hour"], q=0.01, report=""),
    "drift.performance/v1": step(
        "drift.performance",
        predictions="scores/new",
        labels="landing/late/2024-05-04.parquet",
        key=["parcel_id"],
        label_column="late",
        model=MODEL,
        partition="2024-05-04",
        by=["depot"],
    ),
    "drift.profile/v1": profile(DAY, bins=20, model=f"models:/{MODEL}/1"),
    "inference.batch/v1": scoring(DAY, column="late"),
    "inference.call/v1": step(
        "inference.call",
        model="kserve-v1+http://127.0.0.1:1/v1/models/m",
        rows=[{"x": 1.5}],
        serving={"max_calls": 3},
    ),
    "lineage.log/v1": step(
        "lineage.log",
        inputs=[DAY, {"uri": "s3://bucket/a", "digest": "sha256:00", "rows": 7}],
        facts={"rows": 7, "share": 0.5},
    ),
    "model.candidate/v1": step(
        "model.candidate", model=MODEL, source="a" * 32, trained_through="2024-05-03"
    ),
    "model.compare/v1": comparison(margin=0.01, metric="brier"),
    "model.promote/v1": promotion(request_id="so-1", in_backfill=True),
    "model.train/v1": training(WINDOW, train_params={"C": 0.5, "names": ["a"]}, predict="predict"),
    "quality.check/v1": quality(WINDOW, on_failure="report"),
    "signoff.request/v1": step(
        "signoff.request", subject="May it?", approvers=["ana", "ben"], deadline="PT12H"
    ),
}
REPLAYS = {
    "drift.check/v1": Replay.RECORDED,
    "drift.performance/v1": Replay.RECORDED,
    "drift.profile/v1": Replay.CONTENT,
    "inference.batch/v1": Replay.CONTENT,
    "inference.call/v1": Replay.RECORDED,
    "lineage.log/v1": Replay.RECORDED,
    "model.candidate/v1": Replay.CONTENT,
    "model.compare/v1": Replay.RECORDED,
    "model.promote/v1": Replay.VERIFY,
    "model.train/v1": Replay.CONTENT,
    "quality.check/v1": Replay.RECORDED,
    "signoff.request/v1": Replay.VERIFY,
}


def test_every_kind_has_an_example() -> None:
    """The table of kinds, the public face and these tests name the same steps."""
    assert set(EXAMPLES) == set(REPLAYS) == set(KINDS)
    assert {step_class(kind).__name__ for kind in KINDS} == set(backbeat.steps.__all__)
    assert backbeat.steps.__all__ == sorted(backbeat.steps.__all__)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryStep:
    def test_is_registered_under_its_own_kind(self, kind: str) -> None:
        """A kind leads to the class that has it, with or without its version."""
        found = step_class(kind)

        assert found.kind == kind
        assert step_class(kind.partition("/")[0]) is found
        assert getattr(backbeat.steps, found.__name__) is found
        assert found.replay is REPLAYS[kind]

    def test_comes_back_from_json(self, kind: str) -> None:
        """Written as text and read again, it is the same step with the same digest."""
        text = json.dumps(EXAMPLES[kind].to_json())
        again = step_from_json(json.loads(text))

        assert again == EXAMPLES[kind]
        assert again.digest() == EXAMPLES[kind].digest()
        assert again.to_json() == EXAMPLES[kind].to_json()

    def test_leaves_defaults_out_of_its_digest(self, kind: str) -> None:
        """A default that is spelled out changes nothing: fields can be added later."""
        spelled_out = {"kind": kind, **EXAMPLES[kind].model_dump(mode="json")}

        assert step_from_json(spelled_out).digest() == EXAMPLES[kind].digest()

    def test_documents_its_fields(self, kind: str) -> None:
        """The docstring's arguments are the fields, in their order."""
        said = (inspect.getdoc(step_class(kind)) or "").partition("Args:")[2].partition("\n\n")[0]
        names = re.findall(r"^ {4}(\w+): ", said, re.MULTILINE)

        assert names == list(step_class(kind).model_fields)

    def test_documents_its_value(self, kind: str) -> None:
        """The docstring says what later steps can read."""
        assert documented_value(step_class(kind)) or kind == "lineage.log/v1"

    def test_asks_for_no_more_than_it_declares(self, kind: str) -> None:
        """What a step requires is among the needs that it declares."""
        assert EXAMPLES[kind].required() <= EXAMPLES[kind].needs
