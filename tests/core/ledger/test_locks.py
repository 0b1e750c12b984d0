from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backbeat.errors import LeaseHeld
from backbeat.ledger.sql import SqlLedger

Make = Callable[..., Any]


def test_a_lock_excludes_until_it_is_given_back(ledger: SqlLedger) -> None:
    """A second holder hears how long to wait; after the block the lock is free."""
    with ledger.lock("promote:m", owner="a", seconds=30):
        with pytest.raises(LeaseHeld) as caught, ledger.lock("promote:m", owner="b", seconds=30):
            pytest.fail("two hold it")
        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 30
        with ledger.lock("promote:other", owner="b", seconds=30):
            pass
    with ledger.lock("promote:m", owner="b", seconds=30):
        pass


def test_a_lock_is_given_back_after_an_error(ledger: SqlLedger) -> None:
    """What goes wrong inside does not keep others out."""
    with pytest.raises(ValueError, match="inside"), ledger.lock("x", owner="a", seconds=30):
        raise ValueError("inside")
    with ledger.lock("x", owner="b", seconds=30):
        pass


def test_a_dead_holders_lock_is_taken_at_once(
    ledger: SqlLedger, address: str, start_python: Make
) -> None:
    """A worker killed while holding a lock does not block the next one until its end."""
    source = """
import os, sys
from backbeat.ledger import open_ledger
with open_ledger(sys.argv[1]).lock("x", owner="a", seconds=3600):
    os.kill(os.getpid(), 9)
"""
    process = start_python(source, address)
    process.communicate(timeout=60)
    assert process.returncode == -9
    with ledger.lock("x", owner="b", seconds=30):
        pass


def test_an_old_holder_does_not_free_the_new_ones_lock(ledger: SqlLedger, sql: Make) -> None:
    """A lock that ran out and was taken over is not deleted by its first holder."""
    with ledger.lock("x", owner="a", seconds=30):
        sql("UPDATE backbeat_locks SET until = '2000-01-01T00:00:00.000000Z'")
        second = ledger.lock("x", owner="b", seconds=30)
        second.__enter__()
    with pytest.raises(LeaseHeld), ledger.lock("x", owner="c", seconds=30):
        pytest.fail("two hold it")
    second.__exit__(None, None, None)


def test_the_same_holder_gets_it_again(ledger: SqlLedger) -> None:
    """An acquire whose answer was lost is repeated without harm."""
    for _ in range(2):
        ledger.acquire("x", holder="a|elsewhere:boot/1/1", seconds=30)
    with pytest.raises(LeaseHeld):
        ledger.acquire("x", holder="b|elsewhere:boot/1/1", seconds=30)
    for _ in range(2):
        ledger.release("x", holder="a|elsewhere:boot/1/1")
    ledger.acquire("x", holder="b|elsewhere:boot/1/1", seconds=30)


def test_a_lock_from_before_the_clock_was_set_back_is_cut(ledger: SqlLedger) -> None:
    """A dead holder's lock lasts its own length from then on, not an hour more."""
    ledger.acquire("x", holder="a|elsewhere:boot/1/1", seconds=30)
    real = ledger.database.now
    ledger.database.now = lambda: real() - timedelta(hours=1)  # type: ignore[method-assign]
    with pytest.raises(LeaseHeld) as caught:
        ledger.acquire("x", holder="b|elsewhere:boot/1/1", seconds=30)
    assert caught.value.retry_after == pytest.approx(30)
    ledger.database.now = lambda: real() - timedelta(seconds=3600 - 31)  # type: ignore[method-assign]
    ledger.acquire("x", holder="b|elsewhere:boot/1/1", seconds=30)
