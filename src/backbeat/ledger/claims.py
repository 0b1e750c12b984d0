"""Claims: one worker at a time performs a piece of work, and a zombie cannot write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, insert, literal_column, null, select, update

from backbeat.errors import FencedOut, LeaseHeld, NotFound
from backbeat.identity import RunIdentity
from backbeat.ledger.database import Database
from backbeat.ledger.owner import is_certainly_dead, this_process
from backbeat.ledger.prepared import Prepared
from backbeat.ledger.record import as_json, seal_all, write_audit, write_messages
from backbeat.ledger.tables import attempts, runs
from backbeat.ledger.times import from_text, now, to_text
from backbeat.ports import AuditFact, Claim, Claimed, Ending, Recorded, RunRecord

__all__ = ["Attempt", "Claims"]

_AUDIT_OUTCOME = {"done": "ok", "waiting": "ok", "blocked": "refused", "denied": "refused"}
_THIS_RUN = runs.c.key == bindparam("this_key")
_OUR_LEASE = (
    _THIS_RUN
    & (runs.c.token == bindparam("this_token"))
    & (runs.c.state == literal_column("'claimed'"))
)
_SELECT_RUN = Prepared(select(runs).where(_THIS_RUN))
_INSERT_RUN = Prepared(insert(runs))
_RECLAIM_RUN = Prepared(
    update(runs)
    .where(_THIS_RUN)
    .values(
        {
            name: bindparam(name)
            for name in (
                "state",
                "identity",
                "token",
                "owner",
                "lease_until",
                "started_at",
                "finished_at",
            )
        }
    )
)
_PROLONG = Prepared(update(runs).where(_OUR_LEASE).values(lease_until=bindparam("lease_until")))
_FINISH_RUN = Prepared(
    update(runs)
    .where(_OUR_LEASE)
    .values(
        state=bindparam("new_state"),
        outcome=bindparam("outcome"),
        request_id=func.coalesce(bindparam("request_id"), runs.c.request_id),
        owner=null(),
        lease_until=null(),
        finished_at=bindparam("finished_at"),
    )
)
_INSERT_ATTEMPT = Prepared(
    insert(attempts), columns=("key", "token", "owner", "identity", "started_at")
)
_END_ATTEMPT = Prepared(
    update(attempts)
    .where(
        (attempts.c.key == bindparam("this_key")) & (attempts.c.token == bindparam("this_token"))
    )
    .values(ended_at=bindparam("ended_at"), ending=bindparam("ending"))
)


@dataclass(frozen=True)
class Attempt:
    """One worker's try at a piece of work.

    Args:
        token: Its fencing token; the newest attempt has the highest.
        owner: The process that made it.
        identity: The attempt as its orchestrator knows it.
        started_at: When it took the lease.
        ended_at: When it ended, or was found lost.
        ending: How it ended, or `lost` where a later attempt took over.
    """

    token: int
    owner: str
    identity: dict[str, Any]
    started_at: datetime
    ended_at: datetime | None
    ending: str | None


class Claims:
    """The part of the ledger that the runner's door uses."""

    _db: Database
    # what this process claimed and has not finished, so that finishing need not read it again
    _open_claims: dict[tuple[str, int], tuple[str, RunIdentity]]

    def claim(self, claim: Claim) -> Claimed | Recorded:
        """Take the lease and record the start in one commit.

        Raises:
            LeaseHeld: A living worker performs the same piece of work; retry after its lease.
        """
        at = now()
        sealed = seal_all([_fact("run.start", "ok", claim)], at)
        held = {
            "state": "claimed",
            "identity": claim.identity.model_dump_json(),
            "owner": this_process(),
            "lease_until": to_text(at + timedelta(seconds=claim.lease_seconds)),
            "started_at": to_text(at),
            "finished_at": None,
        }
        described = _described(claim)
        with self._db.write() as tx:
            row = _SELECT_RUN.first(tx, {"this_key": claim.key})
            if row is None:
                token = 1
                _INSERT_RUN(tx, {**described, **held, "token": token})
            else:
                if row["state"] == "done" and claim.replay:
                    return Recorded(json.loads(row["outcome"]))
                if row["state"] == "claimed":
                    _refuse_while_alive(row, at)
                    _END_ATTEMPT(
                        tx,
                        {
                            "this_key": claim.key,
                            "this_token": row["token"],
                            "ended_at": held["started_at"],
                            "ending": "lost",
                        },
                    )
                token = row["token"] + 1
                _RECLAIM_RUN(tx, {**held, "token": token, "this_key": claim.key})
            _INSERT_ATTEMPT(tx, {**held, "key": claim.key, "token": token})
            write_messages(tx, claim.messages, at)
            write_audit(tx, sealed, at)
        self._open_claims[claim.key, token] = (claim.kind, claim.identity)
        return Claimed(token=token, started_at=at)

    def heartbeat(self, key: str, token: int, *, lease_seconds: float) -> None:
        """Prolong the lease.

        Raises:
            FencedOut: A later attempt holds it.
        """
        until = to_text(now() + timedelta(seconds=lease_seconds))
        ours = {"this_key": key, "this_token": token}
        with self._db.write() as tx:
            if _PROLONG(tx, {**ours, "lease_until": until}) == 0:
                self._forget(key, token)
                raise _fenced(key)

    def finish(self, key: str, token: int, ending: Ending) -> None:
        """Record the ending, its audit entry and its messages in one commit.

        Raises:
            FencedOut: A later attempt holds the lease; nothing was written.
        """
        at = now()
        kind, identity = self._forget(key, token) or self._claimed(key)
        fact = AuditFact(
            action="run.finish",
            outcome=_AUDIT_OUTCOME.get(ending.state, "failed"),
            actor=identity.actor,
            subject=_subject(key, kind, identity),
            facts={"state": ending.state, **ending.facts},
        )
        sealed = seal_all([fact], at)
        ours = {"this_key": key, "this_token": token}
        ended = {
            "new_state": ending.state,
            "outcome": as_json(ending.outcome),
            "request_id": ending.request_id,
            "finished_at": to_text(at),
        }
        with self._db.write() as tx:
            if _FINISH_RUN(tx, {**ours, **ended}) == 0:
                raise _fenced(key)
            _END_ATTEMPT(tx, {**ours, "ended_at": ended["finished_at"], "ending": ending.state})
            write_messages(tx, ending.messages, at)
            write_audit(tx, sealed, at)

    def deny(self, claim: Claim, ending: Ending) -> None:
        """Record an attempt that ended before it took a lease: refused, or without its input.

        Work that is claimed or done under the same key stays as it is.
        """
        at = now()
        outcome = _AUDIT_OUTCOME.get(ending.state, "failed")
        sealed = seal_all([_fact("run.start", outcome, claim, ending.facts)], at)
        with self._db.write() as tx:
            known = _SELECT_RUN.first(tx, {"this_key": claim.key})
            if known is None:
                denied = {
                    **_described(claim),
                    "state": ending.state,
                    "identity": claim.identity.model_dump_json(),
                    "token": 0,
                    "owner": None,
                    "lease_until": None,
                    "outcome": as_json(ending.outcome),
                    "started_at": to_text(at),
                    "finished_at": to_text(at),
                }
                _INSERT_RUN(tx, denied)
            write_messages(tx, ending.messages, at)
            write_audit(tx, sealed, at)

    def attempts(self, key: str) -> list[Attempt]:
        """Every attempt at a piece of work that took a lease, oldest first."""
        query = select(attempts).where(attempts.c.key == key).order_by(attempts.c.token)
        with self._db.read() as view:
            return [
                Attempt(
                    token=row.token,
                    owner=row.owner,
                    identity=json.loads(row.identity),
                    started_at=from_text(row.started_at),
                    ended_at=from_text(row.ended_at) if row.ended_at else None,
                    ending=row.ending,
                )
                for row in view.execute(query)
            ]

    def run(self, key: str) -> RunRecord | None:
        """A piece of work by its key, or by the beginning of it where that is unique."""
        with self._db.read() as view:
            rows = view.execute(
                select(runs).where(runs.c.key.startswith(key, autoescape=True)).limit(2)
            ).all()
        return _record(rows[0]) if len(rows) == 1 else None

    def runs(
        self, *, state: str | None = None, request_id: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        """Pieces of work, newest first."""
        query = select(runs).order_by(runs.c.started_at.desc()).limit(limit)
        if state is not None:
            query = query.where(runs.c.state == state)
        if request_id is not None:
            query = query.where(runs.c.request_id == request_id)
        with self._db.read() as view:
            return [_record(row) for row in view.execute(query)]

    def _forget(self, key: str, token: int) -> tuple[str, RunIdentity] | None:
        try:
            return self._open_claims.pop((key, token))
        except KeyError:
            return None

    def _claimed(self, key: str) -> tuple[str, RunIdentity]:
        with self._db.read() as view:
            row = view.execute(
                select(runs.c.kind, runs.c.identity).where(runs.c.key == key)
            ).first()
        if row is None:
            raise NotFound(f"the ledger knows no piece of work {key}", hint="see `backbeat runs`")
        return row.kind, RunIdentity.model_validate_json(row.identity)


def _described(claim: Claim) -> dict[str, Any]:
    return {
        "key": claim.key,
        "kind": claim.kind,
        "step": as_json(claim.step),
        "step_digest": claim.step_digest,
        "inputs": as_json(claim.inputs),
        "request_id": None,
        "outcome": None,
    }


def _subject(key: str, kind: str, identity: RunIdentity) -> dict[str, Any]:
    return {
        "key": key,
        "kind": kind,
        "orchestrator": identity.orchestrator,
        "workflow": identity.workflow,
        "run": identity.run,
        "task": identity.task_key,
        "attempt": identity.attempt,
    }


def _fact(action: str, outcome: str, claim: Claim, facts: Any = None) -> AuditFact:
    return AuditFact(
        action=action,
        outcome=outcome,
        actor=claim.identity.actor,
        subject=_subject(claim.key, claim.kind, claim.identity),
        facts={"step": claim.step_digest, "inputs": dict(claim.inputs), **(facts or {})},
    )


def _refuse_while_alive(row: Mapping[str, Any], at: datetime) -> None:
    until = from_text(row["lease_until"])
    if until <= at or is_certainly_dead(row["owner"]):
        return
    identity = json.loads(row["identity"])
    raise LeaseHeld(
        f"{row['kind']} for {identity['task']} of {identity['run']} is being performed by another "
        f"worker, whose lease ends at {row['lease_until']}",
        hint="let it finish, or wait until its lease has ended",
        retry_after=max(1.0, (until - at).total_seconds()),
    )


def _fenced(key: str) -> FencedOut:
    return FencedOut(
        f"a later attempt has taken over {key[:19]}; what this attempt did is not recorded",
        hint="look at the newer attempt with `backbeat runs show`",
    )


def _record(row: Any) -> RunRecord:
    return RunRecord(
        key=row.key,
        kind=row.kind,
        state=row.state,
        identity=json.loads(row.identity),
        step=json.loads(row.step),
        step_digest=row.step_digest,
        inputs=json.loads(row.inputs),
        token=row.token,
        owner=row.owner,
        lease_until=from_text(row.lease_until) if row.lease_until else None,
        request_id=row.request_id,
        outcome=json.loads(row.outcome) if row.outcome else None,
        started_at=from_text(row.started_at),
        finished_at=from_text(row.finished_at) if row.finished_at else None,
    )
