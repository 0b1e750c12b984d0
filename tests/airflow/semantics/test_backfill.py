"""A backfill re-plays the past: it promotes nothing unless it is asked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backbeat import Platform

pytestmark = pytest.mark.timeout(300)


def test_a_backfill_promotes_nothing(
    backfill: Callable[..., Any], platform: Platform, model: str
) -> None:
    """Last month's model does not become today's champion because its night was played again."""
    run = backfill("promotion", model=model, version="2", expected="1")
    assert run.play() == {"promote": "failed"}
    assert platform.registry.alias(model, "champion") == "1"
    (work,) = platform.ledger.runs()
    assert (work.state, work.identity["backfill"]) == ("denied", True)


def test_a_clear_in_a_backfill_promotes_nothing_either(
    backfill: Callable[..., Any], platform: Platform, model: str
) -> None:
    """A person's click makes no present out of the past."""
    run = backfill("promotion", model=model, version="2", expected="1")
    run.play()
    run.clear("promote")
    assert run.play() == {"promote": "failed"}
    assert platform.registry.alias(model, "champion") == "1"


def test_a_backfill_promotes_when_it_is_asked_to(
    backfill: Callable[..., Any], platform: Platform, model: str
) -> None:
    """`in_backfill` says that the past may decide about the present."""
    run = backfill("promotion", model=model, version="2", expected="1", in_backfill=True)
    assert run.play() == {"promote": "success"}
    assert platform.registry.alias(model, "champion") == "2"
