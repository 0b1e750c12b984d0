"""Claims and endings as the runner would make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backbeat.ports import Claim, Ending, Message

Make = Callable[..., Any]


@pytest.fixture
def claim_of(attempt: Make) -> Callable[..., Claim]:
    """Builds the claim of a piece of work."""

    def build(key: str = "sha256:work", **fields: Any) -> Claim:
        known: dict[str, Any] = {
            "kind": "toy.step/v1",
            "identity": attempt(),
            "step": {"kind": "toy.step/v1"},
            "step_digest": "sha256:step",
            "inputs": {},
            "lease_seconds": 60.0,
            "replay": True,
        }
        return Claim(key=key, **{**known, **fields})

    return build


@pytest.fixture
def done() -> Ending:
    """An ending that went well, with one message."""
    message = Message("m-1", "event", {"n": 1})
    return Ending(state="done", outcome={"status": "done"}, messages=[message])
