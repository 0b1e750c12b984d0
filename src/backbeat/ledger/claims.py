"""Claims: one worker at a time performs a piece of work, and a zombie cannot write."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, literal_column, null, select, update
from sqlalchemy.engine import Connection

from backbeat.audit import seal
from backbeat.canonical import digest
from backbeat.errors import BackbeatError, Conflict, FencedOut, LeaseHeld, NotFound
from backbeat.identity import RunIdentity
from backbeat.ledger.batch import Statements
from backbeat.ledger.database import Database
from backbeat.ledger.leases import lease_left
from backbeat.ledger.owner import is_certainly_dead
from backbeat.ledger.prepared import Prepared
from backbeat.ledger.record import (
    as_json,
    audit_statements,
    message_statements,
    seal_all,
)
from backbeat.ledger.tables import attempts, runs
from backbeat.ledger.times import from_text, to_text
from backbeat.ports import Attempt, AuditFact, Claim, Claimed, Ending, Recorded, RunRecord

__all__ = ["Claims"]

_OPEN_CLAIMS = 1000  # more than a process performs at once
_AUDIT_OUTCOME = {"done": "ok", "waiting": "ok", "blocked": "refused", "denied": "refused"}
_THIS_RUN = runs.c.key == bindparam("this_key")
_OUR_LEASE = (
    _THIS_RUN
    & (runs.c.token == bindparam("this_token"))
    & (runs.c.state == literal_column("'claimed'"))
)
_SELECT_RUN = Prepared(select(runs).where(_THIS_RUN).with_for_update())
_INSERT_RUN = Prepared(insert(runs), keep_existing=True)
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
                "nonce",
                "lease_seconds",
            )
        }
    )
)
_PROLONG = Prepared(update(runs).where(_OUR_LEASE).values(lease_until=bindparam("lease_until")))
_ENDED = {
    "state": bindparam("new_state"),
    "outcome": bindparam("outcome"),
    "owner": null(),
    "lease_until": null(),
    "finished_at": bindparam("finished_at"),
}
_FINISH_RUN = Prepared(update(runs).where(_OUR_LEASE).values(_ENDED))
# its own statement, because SQLite rewrites the index of a column that is named, changed or not
_FINISH_WITH_REQUEST = Prepared(
    update(runs).where(_OUR_LEASE).values({**_ENDED, "request_id": bindparam("request_id")})
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


class Claims:
    """The part of the ledger that the runner's door uses."""

    _db: Database
    # what this process claimed and has not finished, so that finishing need not read it again;
    # a worker behind a service may never finish, and the oldest are forgotten then
    _open_claims: OrderedDict[tuple[str, int], tuple[str, RunIdentity]]

    def claim(self, claim: Claim) -> Claimed | Recorded:
        """Take the lease and record the start in one commit.

        Raises:
            LeaseHeld: A living worker performs the same piece of work; retry after its lease.
            Conflict: The key stands for another step or other inputs; shows both.
        """
        at = self._db.now()
        sealed = seal_all([_fact("run.start", "ok", claim)], at)
        held = {
            "state": "claimed",
            "identity": claim.identity.model_dump_json(),
            "owner": claim.owner,
            "lease_until": to_text(at + timedelta(seconds=claim.lease_seconds)),
            "started_at": to_text(at),
            "finished_at": None,
            "nonce": claim.nonce,
            "lease_seconds": claim.lease_seconds,
        }
        fresh = {**_described(claim), **held, "token": 1}
        records = [*message_statements(claim.messages, at), *audit_statements(sealed, at)]
        granted: Claimed | Recorded = Claimed(token=1, started_at=at)
        if not self._db.batch([(_INSERT_RUN, fresh), (_INSERT_ATTEMPT, fresh), *records]):
            granted = self._claim_again(claim, held, records, at)
        if isinstance(granted, Claimed):
            self._open_claims[claim.key, granted.token] = (claim.kind, claim.identity)
            if len(self._open_claims) > _OPEN_CLAIMS:
                self._open_claims.popitem(last=False)
        return granted

    def _claim_again(
        self, claim: Claim, held: Mapping[str, Any], records: Statements, at: datetime
    ) -> Claimed | Recorded:
        """Claim work that is known: replay it, refuse it, or take it over with the next token."""
        refusal: BackbeatError | None = None
        with self._db.write() as tx:
            row = _SELECT_RUN.first(tx, {"this_key": claim.key})
            if row is None:
                raise LeaseHeld(
                    f"{claim.key[:19]} was pruned at this very moment",
                    hint="claim it again",
                    retry_after=1,
                )
            _refuse_another_payload(row, claim)
            if row["state"] == "done" and claim.replay:
                return Recorded(json.loads(row["outcome"]))
            if row["state"] == "claimed":
                if row["nonce"] == claim.nonce:  # the answer to this very call was lost
                    return Claimed(row["token"], from_text(row["started_at"]))
                refusal = _while_alive(tx, row, at)
            token = row["token"] + 1
            if refusal is None:
                if row["state"] == "claimed":
                    ended = {"ended_at": held["started_at"], "ending": "lost"}
                    _END_ATTEMPT(tx, {"this_key": claim.key, "this_token": row["token"], **ended})
                _RECLAIM_RUN(tx, {**held, "token": token, "this_key": claim.key})
                _INSERT_ATTEMPT(tx, {**held, "key": claim.key, "token": token})
                for statement, values in records:
                    statement(tx, values)
        if refusal is not None:  # raised behind the commit: a lease may have been cut
            raise refusal
        return Claimed(token=token, started_at=at)

    def heartbeat(self, key: str, token: int, *, lease_seconds: float) -> None:
        """Prolong the lease.

        Raises:
            FencedOut: A later attempt holds it.
        """
        until = to_text(self._db.now() + timedelta(seconds=lease_seconds))
        ours = {"this_key": key, "this_token": token}
        with self._db.write() as tx:
            if _PROLONG(tx, {**ours, "lease_until": until}) == 0:
                self._forget(key, token)
                raise _fenced(key)

    def finish(self, key: str, token: int, ending: Ending) -> None:
        """Record the ending, its audit entry and its messages in one commit.

        Saying the same ending again changes nothing: the first answer may have been lost.

        Raises:
            FencedOut: A later attempt holds the lease; nothing was written.
        """
        at = self._db.now()
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
        end = {**ours, "ended_at": ended["finished_at"], "ending": ending.state}
        statements = [
            (_FINISH_RUN if ending.request_id is None else _FINISH_WITH_REQUEST, {**ours, **ended}),
            (_END_ATTEMPT, end),
            *message_statements(ending.messages, at),
            *audit_statements(sealed, at),
        ]
        if not self._db.batch(statements):
            with self._db.write() as tx:
                row = _SELECT_RUN.first(tx, {"this_key": key})
            if row is None or not _is_recorded(row, token, ended):
                raise _fenced(key)

    def deny(self, claim: Claim, ending: Ending) -> None:
        """Record an attempt that ended before it took a lease: refused, or without its input.

        Work that is claimed or done under the same key stays as it is. Saying the same claim again
        changes nothing: the first answer may have been lost.
        """
        at = self._db.now()
        outcome = _AUDIT_OUTCOME.get(ending.state, "failed")
        fact = _fact("run.start", outcome, claim, ending.facts)
        sealed = seal(fact, at=at, entry_id=_entry_id(claim))
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
            "nonce": None,
            "lease_seconds": None,
        }
        self._db.batch(
            [
                *audit_statements([(fact, sealed)], at),  # its first decides
                (_INSERT_RUN, denied),
                *message_statements(ending.messages, at),
            ]
        )

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


def _entry_id(claim: Claim) -> str:
    return digest({"key": claim.key, "nonce": claim.nonce}).removeprefix("sha256:")[:32]


def _refuse_another_payload(row: Mapping[str, Any], claim: Claim) -> None:
    recorded = {
        "kind": row["kind"],
        "step": row["step_digest"],
        "inputs": json.loads(row["inputs"]),
    }
    asked = {"kind": claim.kind, "step": claim.step_digest, "inputs": dict(claim.inputs)}
    if recorded != asked:
        raise Conflict(
            f"the key {claim.key[:19]} stands for {as_json(recorded)}, and was used again for "
            f"{as_json(asked)}",
            hint="derive the key from the work (backbeat.runner.work_key), one key for one work",
        )


def _while_alive(tx: Connection, row: Mapping[str, Any], at: datetime) -> LeaseHeld | None:
    left = lease_left(row["lease_until"], row["lease_seconds"], at)
    if left.seconds <= 0 or is_certainly_dead(row["owner"]):
        return None
    if left.cut:
        until = to_text(at + timedelta(seconds=left.seconds))
        _PROLONG(tx, {"this_key": row["key"], "this_token": row["token"], "lease_until": until})
    identity = json.loads(row["identity"])
    return LeaseHeld(
        f"{row['kind']} for {identity['task']} of {identity['run']} is being performed by another "
        f"worker, whose lease ends in {left.seconds:.0f} s",
        hint="let it finish, or wait until its lease has ended",
        retry_after=max(1.0, left.seconds),
    )


def _is_recorded(row: Mapping[str, Any], token: int, ended: Mapping[str, Any]) -> bool:
    return bool(
        row["token"] == token
        and row["state"] == ended["new_state"]
        and row["outcome"] == ended["outcome"]
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
