"""Steps that a released version wrote are the same steps to this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backbeat.kinds import KINDS, step_from_json

HERE = Path(__file__).parent
WRITTEN = [
    (path.parent.name, item)
    for path in sorted(HERE.glob("*/steps.json"))
    for item in json.loads(path.read_text())
]
FIRST_KINDS = {item["step"]["kind"] for version, item in WRITTEN if version == "0.1.0"}


@pytest.mark.parametrize(
    ("version", "item"), WRITTEN, ids=[f"{item['step']['kind']}-{v}" for v, item in WRITTEN]
)
def test_a_released_step_is_the_same_step(version: str, item: dict[str, Any]) -> None:
    """It validates, is written as it was, and has the digest that ledgers and stores hold."""
    step = step_from_json(item["step"])

    assert step.to_json() == item["step"]
    assert step.digest() == item["digest"]


def test_every_kind_of_the_first_release_is_held() -> None:
    """The ten kinds of 0.1.0 are in its file, and none has gone since."""
    assert len(FIRST_KINDS) == 10
    assert set(KINDS) >= FIRST_KINDS
