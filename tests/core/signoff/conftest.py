"""A request to vote on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbeat import Actor
from backbeat.signoff import Request, Rules

CREATED = datetime(2999, 1, 1, tzinfo=UTC)  # no clock of a test machine is past the deadline


@pytest.fixture
def request_of() -> Callable[..., Request]:
    """Builds a request for two of three people, asked by ana."""

    def build(**fields: Any) -> Request:
        rules = {"quorum": 2, "approvers": ("ana", "ben", "cleo", "dora"), "four_eyes": True}
        rules |= {name: fields.pop(name) for name in list(fields) if name in Rules.model_fields}
        known: dict[str, Any] = {
            "request_id": "so-1",
            "subject": "Ship it?",
            "about": {"model": "m", "version": "3"},
            "evidence": {"better": True},
            "requester": Actor(id="ana", method="python"),
            "rules": rules,
            "created": CREATED,
            "deadline": CREATED + timedelta(days=1),
            "workflow": "nightly/run-1",
        }
        return Request.model_validate({**known, **fields})

    return build
