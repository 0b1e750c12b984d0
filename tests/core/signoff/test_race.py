"""Votes at once: one is first, and the others are held against what it has made of the request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from backbeat.ledger.sql import SqlLedger
from backbeat.signoff import open_request, read_request
from backbeat.signoff.export import attempts

Make = Callable[..., Any]
SOURCE = """
import sys
from backbeat import Actor
from backbeat.errors import Refused
from backbeat.ledger import open_ledger
from backbeat.signoff import vote
ledger = open_ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    for door in ("cli", "slack"):
        try:
            vote(ledger, f"so-{number}", choice="approve", actor=Actor(id=sys.argv[2], method=door),
                 evidence_digest=sys.argv[3])
        except Refused:
            pass
"""


def test_of_many_votes_at_once_exactly_the_quorum_counts(
    either: SqlLedger, address: str, request_of: Make, start_python: Make
) -> None:
    """Six people by two doors each on ten requests: three votes, one decision, no vote lost."""
    now = datetime.now(UTC)
    for number in range(10):
        request = request_of(
            request_id=f"so-{number}",
            stages=[{"quorum": 3}],
            created=now,
            deadline=now + timedelta(hours=1),
        )
        open_request(either, request)
    digest = request.evidence_digest
    people = ["ben", "cleo", "dora", "emil", "fay", "gil"]
    processes = [start_python(SOURCE, address, name, digest, 10) for name in people]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for number in range(10):
        state = read_request(either, f"so-{number}")
        kinds = Counter(event.kind for event in either.read(f"signoff/so-{number}"))
        assert kinds == {"requested": 1, "voted": 3, "decided": 1}
        assert state.decision is not None
        assert len(set(state.decision.by)) == 3
        tried = Counter((one["action"], one["outcome"]) for one in attempts(either, f"so-{number}"))
        assert tried["signoff.vote", "ok"] == 3
        assert tried["signoff.vote", "refused"] == 9
        assert tried["signoff.decide", "ok"] == 1
