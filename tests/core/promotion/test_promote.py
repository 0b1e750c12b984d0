from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbeat import Actor, Platform, RunIdentity, run_step
from backbeat.errors import BackbeatError, Conflict, FencedOut, LeaseHeld, NotFound, Refused
from backbeat.ledger import SqliteLedger
from backbeat.ports import Need
from backbeat.promotion import Promotion, approved_by, promote
from backbeat.signoff import Request, Rules, open_request, vote
from backbeat.steps import PromoteModel

Make = Callable[..., Any]


def _promote(ledger: Any, registry: Any, **fields: Any) -> Promotion:
    known: dict[str, Any] = {
        "model": "m",
        "version": "2",
        "alias": "champion",
        "expected": "1",
        "effect_id": "sha256:effect",
        "ensure_current": lambda: None,
    }
    return promote(ledger=ledger, registry=registry, **{**known, **fields})


def _request(ledger: Any, version: str = "2", **fields: Any) -> Request:
    now = datetime.now(UTC)
    request = Request(
        request_id=f"so-{version}",
        subject="Ship it?",
        about={"model": "m", "version": version},
        evidence={},
        requester=Actor(id="ana", method="python"),
        rules=Rules(quorum=1, four_eyes=True),
        created=now,
        deadline=now + timedelta(days=1),
        workflow="w/r",
    ).model_copy(update=fields)
    open_request(ledger, request)
    return request


def _approve(ledger: Any, request: Request, choice: Any = "approve") -> None:
    ben = Actor(id="ben", method="python")
    digest = request.evidence_digest
    vote(ledger, request.request_id, choice=choice, actor=ben, evidence_digest=digest)


def test_the_alias_moves_to_the_version(ledger: SqliteLedger, registry: Any) -> None:
    """What the evidence saw is replaced, and the version carries the effect that did it."""
    assert _promote(ledger, registry) == Promotion(previous="1", changed=True)
    assert registry.alias("m", "champion") == "2"
    assert registry.resolve("models:/m/2").tags["backbeat.promotion.champion"] == "sha256:effect"


def test_a_first_champion_needs_no_predecessor(ledger: SqliteLedger, registry: Any) -> None:
    """Where the evidence saw no alias, none may be there."""
    promotion = _promote(ledger, registry, alias="shadow", expected=None)
    assert promotion == Promotion(previous=None, changed=True)
    with pytest.raises(Conflict):
        _promote(ledger, registry, alias="shadow", expected=None, version="3")


def test_an_alias_that_somebody_moved_is_a_conflict(ledger: SqliteLedger, registry: Any) -> None:
    """A foreign hand has promoted since the comparison: nothing is changed, and both are named."""
    registry.set_alias("m", "champion", "3")
    with pytest.raises(Conflict) as caught:
        _promote(ledger, registry)
    assert caught.value.message == (
        "m@champion is version 3, but the evidence compared with 1: nothing was changed"
    )
    assert registry.alias("m", "champion") == "3"
    assert "backbeat.promotion.champion" not in registry.resolve("models:/m/2").tags


def test_a_foreign_hand_between_write_and_reading_back_is_noticed(
    ledger: SqliteLedger, registry: Any, open_registry: Make
) -> None:
    """Somebody who moves the alias right after us is found by reading it back."""
    foreign = open_registry()

    class Raced:
        def __getattr__(self, name: str) -> Any:
            return getattr(registry, name)

        def set_alias(self, name: str, alias: str, version: str) -> None:
            registry.set_alias(name, alias, version)
            foreign.set_alias(name, alias, "3")

    with pytest.raises(Conflict, match="was set to version 2 and reads 3: somebody else moved it"):
        _promote(ledger, Raced())


def test_of_two_promotions_at_once_one_wins(
    ledger: SqliteLedger, registry: Any, open_registry: Make
) -> None:
    """Two workers with two candidates on the same evidence: one moves the alias, one is told."""
    start = threading.Barrier(2)

    def work(version: str) -> Promotion | BackbeatError:
        mine = open_registry()
        mine.ping()
        with closing(SqliteLedger(ledger.path)) as my_ledger:
            start.wait(60)
            try:
                return _promote(my_ledger, mine, version=version)
            except BackbeatError as error:
                return error

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, ["2", "3"]))
    winners = [item for item in found if isinstance(item, Promotion)]
    [loser] = [item for item in found if isinstance(item, BackbeatError)]
    assert winners == [Promotion(previous="1", changed=True)]
    assert isinstance(loser, (Conflict, LeaseHeld))
    assert registry.alias("m", "champion") == ["2", "3"][found.index(winners[0])]


def test_a_promotion_under_way_is_retryable(ledger: SqliteLedger, registry: Any) -> None:
    """While another holds the lock, nothing is read or written, and a retry helps."""
    with ledger.lock("promote:m@champion", owner="other", seconds=60):
        with pytest.raises(LeaseHeld) as caught:
            _promote(ledger, registry)
        assert caught.value.retryable
    assert registry.alias("m", "champion") == "1"


def test_a_zombie_does_not_promote(ledger: SqliteLedger, registry: Any) -> None:
    """A worker that was taken over stops before the alias is touched."""

    def taken_over() -> None:
        raise FencedOut("a later attempt has taken over")

    with pytest.raises(FencedOut):
        _promote(ledger, registry, ensure_current=taken_over)
    assert registry.alias("m", "champion") == "1"
    assert "backbeat.promotion.champion" not in registry.resolve("models:/m/2").tags


def test_an_unknown_version_is_not_promoted(ledger: SqliteLedger, registry: Any) -> None:
    """A version that does not exist is NotFound, and the alias stays."""
    with pytest.raises(NotFound):
        _promote(ledger, registry, version="99")
    assert registry.alias("m", "champion") == "1"


@pytest.mark.parametrize(
    ("version", "choice", "message"),
    [
        ("2", None, "the sign-off so-2 is open, not approved"),
        ("2", "reject", "the sign-off so-2 is rejected, not approved"),
        ("3", "approve", "is about {'model': 'm', 'version': '3'}, not about m version 2"),
    ],
)
def test_only_an_approval_of_this_very_version_counts(
    ledger: SqliteLedger, version: str, choice: str | None, message: str
) -> None:
    """Open, rejected, or about another version: refused, with what it is."""
    request = _request(ledger, version)
    if choice is not None:
        _approve(ledger, request, choice)
    with pytest.raises(Refused, match=message):
        approved_by(ledger, request.request_id, model="m", version="2")


def test_an_approval_names_its_people(ledger: SqliteLedger) -> None:
    """Who signed off is handed on to the record."""
    request = _request(ledger)
    _approve(ledger, request)
    assert approved_by(ledger, "so-2", model="m", version="2") == ("ben",)


def _with_registry(platform: Platform, registry: Any) -> Platform:
    platform._registry = lambda: registry
    assert Need.REGISTRY in platform.offers
    return platform


def test_a_crash_after_the_alias_moved_is_finished_by_the_retry(
    platform: Platform, registry: Any, attempt: Callable[..., RunIdentity]
) -> None:
    """Killed between set and finish, the next attempt finds its work done and records it."""

    class Crash(BaseException):
        pass

    class Crashing:
        def __getattr__(self, name: str) -> Any:
            return getattr(registry, name)

        def set_alias(self, name: str, alias: str, version: str) -> None:
            registry.set_alias(name, alias, version)
            raise Crash

    step = PromoteModel(model="m", version="2", expected="1")
    with pytest.raises(Crash):
        run_step(step, attempt(), _with_registry(platform, Crashing()))
    assert registry.alias("m", "champion") == "2"
    vars(platform).pop("registry")
    outcome = run_step(step, attempt(attempt=2), _with_registry(platform, registry))
    value = outcome.value  # type: ignore[union-attr]
    assert (value["version"], value["previous"], value["changed"]) == ("2", "1", True)


def test_a_retry_looks_at_the_world_again(
    platform: Platform, registry: Any, attempt: Callable[..., RunIdentity]
) -> None:
    """A recorded promotion is not replayed when somebody has moved the alias since."""
    _with_registry(platform, registry)
    step = PromoteModel(model="m", version="2", expected="1")
    run_step(step, attempt(), platform)
    registry.set_alias("m", "champion", "3")
    with pytest.raises(Conflict, match="m@champion is version 3"):
        run_step(step, attempt(attempt=2), platform)
    assert registry.alias("m", "champion") == "3"


def test_a_backfill_promotes_only_where_it_was_asked_to(
    platform: Platform, registry: Any, attempt: Callable[..., RunIdentity]
) -> None:
    """Replaying the past changes no champion by accident; the refusal is recorded as denied."""
    _with_registry(platform, registry)
    refused = PromoteModel(model="m", version="2", expected="1")
    with pytest.raises(Refused, match="a backfill promotes nothing unless it says in_backfill"):
        run_step(refused, attempt(backfill=True), platform)
    assert registry.alias("m", "champion") == "1"
    assert platform.ledger.runs()[0].state == "denied"
    asked = refused.model_copy(update={"in_backfill": True})
    run_step(asked, attempt(backfill=True), platform)
    assert registry.alias("m", "champion") == "2"
