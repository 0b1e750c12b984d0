from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from backbeat import Actor
from backbeat.ledger.prune import prune
from backbeat.ledger.sql import SqlLedger
from backbeat.ports import Ending

Make = Callable[..., Any]
KEEPER = Actor(id="kim", method="cli")


def _fill(ledger: SqlLedger, claim_of: Make) -> None:
    for state in ("done", "failed", "blocked", "waiting"):
        ledger.claim(claim_of(f"sha256:{state}"))
        ledger.finish(f"sha256:{state}", 1, Ending(state=state, outcome={"status": state}))
    ledger.claim(claim_of("sha256:claimed"))
    for state in ("open", "approved"):
        ledger.append(state, [("x", {})], category="c", expected=0, state=state, due=None, audit=[])


def test_what_is_finished_and_old_leaves(ledger: SqlLedger, claim_of: Make) -> None:
    """Finished work and settled requests go; what waits or runs, and the audit log, stays."""
    _fill(ledger, claim_of)
    entries = ledger.check()["audit_entries"]
    real = ledger.database.now
    ledger.database.now = lambda: real() + timedelta(days=31)  # type: ignore[method-assign]
    ledger.claim(claim_of("sha256:young"))
    ledger.finish("sha256:young", 1, Ending(state="done", outcome={"status": "done"}))
    pruned = prune(ledger, days=30, actor=KEEPER)
    assert (pruned.runs, pruned.streams) == (3, 1)
    assert {run.key for run in ledger.runs()} == {
        "sha256:waiting", "sha256:claimed", "sha256:young",
    }  # fmt: skip
    assert ledger.attempts("sha256:done") == []
    assert [info.stream for info in ledger.streams("c")] == ["open"]
    assert ledger.read("approved") == []
    found = ledger.check()
    # the claim, the finish, and the pruning itself
    assert (found["audit_entries"], found["audit_broken"]) == (entries + 3, [])


def test_a_dry_run_counts_and_removes_nothing(
    ledger: SqlLedger, claim_of: Make, dump: Make
) -> None:
    """It says what would go, and every row is still there."""
    _fill(ledger, claim_of)
    real = ledger.database.now
    ledger.database.now = lambda: real() + timedelta(days=31)  # type: ignore[method-assign]
    before = dump()
    pruned = prune(ledger, days=30, actor=KEEPER, dry_run=True)
    assert (pruned.runs, pruned.streams) == (3, 1)
    assert dump() == before
    assert prune(ledger, days=32, actor=KEEPER, dry_run=True).runs == 0


def test_many_rows_leave_in_short_transactions(ledger: SqlLedger, sql: Make) -> None:
    """More rows than one batch holds are all removed."""
    columns = (
        "key, kind, state, identity, step, step_digest, inputs, token, started_at, finished_at"
    )
    for number in range(601):
        sql(
            f"INSERT INTO backbeat_runs ({columns}) "  # noqa: S608
            "VALUES (?, 'k', 'done', '{}', '{}', 's', '{}', 1, ?, ?)",
            f"k{number}", "2020-01-01T00:00:00.000000Z", "2020-01-01T00:00:00.000000Z",
        )  # fmt: skip
    assert prune(ledger, days=30, actor=KEEPER).runs == 601
    assert ledger.check()["runs"] == 0
