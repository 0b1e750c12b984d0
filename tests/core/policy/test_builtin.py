from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backbeat import RunIdentity
from backbeat.policy import BuiltinPolicy

NOBODY = {"id": "?", "method": "anonymous"}


@pytest.mark.parametrize(
    ("action", "fields", "facts", "allowed"),
    [
        ("step.start", {}, {}, True),
        ("step.start", {"actor": NOBODY}, {}, False),
        ("step.start", {"backfill": True}, {}, True),
        ("model.promote", {}, {}, True),
        ("model.promote", {"actor": NOBODY}, {"in_backfill": True}, False),
        ("model.promote", {"backfill": True}, {}, False),
        ("model.promote", {"backfill": True}, {"in_backfill": False}, False),
        ("model.promote", {"backfill": True}, {"in_backfill": True}, True),
    ],
)
def test_the_rules_that_hold_without_a_policy(
    attempt: Callable[..., RunIdentity],
    action: str,
    fields: dict[str, Any],
    facts: dict[str, Any],
    *,
    allowed: bool,
) -> None:
    """Anonymous is refused whatever it asks; a backfill promotes only where it was asked to."""
    verdict = BuiltinPolicy().decide(action, identity=attempt(**fields), facts=facts)
    assert verdict.allowed is allowed
    assert verdict.reason
