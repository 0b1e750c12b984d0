"""What an auditor gets: a request's whole stream, what the rules make of it, and every attempt.

The attempts, refused ones too, come from the audit log, whose stored bytes are what is hashed; with
each entry goes its RFC 6962 leaf hash. What was erased there is missing here, and said to be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from backbeat.canonical import digest
from backbeat.errors import NotFound, UnmetNeed
from backbeat.ports import Ledger
from backbeat.signoff.events import read_events
from backbeat.signoff.people import CLAIMS
from backbeat.signoff.state import State
from backbeat.signoff.stream import stream_of
from backbeat.signoff.text import harmless

__all__ = ["as_text", "attempts", "export", "voted"]

_ACTIONS = "signoff."


def export(ledger: Ledger, state: State) -> dict[str, Any]:
    """One JSON document about a request.

    Args:
        ledger: Where it lives; its database must be reached, for the audit log.
        state: The request as it stands.

    Returns:
        `request`, `events` in the ledger's order, `counted`, `not_counted` with their reasons,
        `decision`, `attempts` (each with `outcome`, `code` where it was refused, and its leaf
        hash), and the `digest` of all of it.

    Raises:
        NotFound: It is gone.
        UnmetNeed: The ledger is behind a service, which hands out no audit log.
    """
    request_id = state.request.request_id
    stored = ledger.read(stream_of(request_id))
    if not stored:
        raise NotFound(f"there is no sign-off request {request_id}", hint="was it deleted?")
    asked, _ = read_events(stored[:1])
    document: dict[str, Any] = {
        "format": 1,
        "request": asked.described(),
        "now": state.request.described(),
        "evidence_digest": state.request.evidence_digest,
        "state": state.name,
        "decision": state.decision.model_dump(mode="json") if state.decision else None,
        "votes": [voted(state, number) for number in range(len(state.votes))],
        "events": [
            {
                "version": event.version,
                "kind": event.kind,
                "recorded": event.at.isoformat(),
                "body": dict(event.body),
            }
            for event in stored[1:]
        ],
        "attempts": list(attempts(ledger, request_id)),
    }
    return {**document, "digest": digest(json.loads(json.dumps(document, default=str)))}


def voted(state: State, number: int) -> dict[str, Any]:
    """A vote as JSON, with whether it counts and what stands behind it."""
    vote = state.votes[number]
    against = [one for one in state.standing.not_counted if one.vote == vote]
    counts = any(one == vote for one in state.standing.counted)
    return {
        **vote.model_dump(mode="json", exclude_defaults=True),
        "person": vote.by.id,
        "claim": vote.is_claim,
        "counts": counts,
        **({} if counts or not against else {"code": against[-1].code, "why": against[-1].why}),
    }


def attempts(ledger: Ledger, request_id: str) -> Iterator[dict[str, Any]]:
    """What was tried on a request, in the audit log's order; raises UnmetNeed."""
    from sqlalchemy import select

    from backbeat.ledger.tables import audit_log, audit_private

    database = getattr(ledger, "database", None)
    if database is None:
        raise UnmetNeed(
            "the audit log is not handed out by a ledger behind a service",
            hint="export where the ledger's database can be reached",
        )
    query = (
        select(audit_log)
        .where(audit_log.c.action.startswith(_ACTIONS, autoescape=True))
        .order_by(audit_log.c.position)
    )
    private = select(audit_private.c.field, audit_private.c.value)
    with database.read() as view:
        for row in view.execute(query).all():
            entry = json.loads(bytes(row.body))
            if entry["subject"].get("request_id") != request_id:
                continue
            kept = {
                found.field: json.loads(bytes(found.value))
                for found in view.execute(private.where(audit_private.c.entry_id == entry["id"]))
            }
            yield {
                "position": row.position,
                "at": entry["at"],
                "action": entry["action"],
                "outcome": entry["outcome"],
                "actor": entry["actor"].get("id", kept.get("actor", "(erased)")),
                "method": entry["actor"]["method"],
                **entry["facts"],
                **{name: kept.get(name, "(erased)") for name in entry["personal"]},
                "leaf": bytes(row.leaf).hex(),
            }


def as_text(document: Mapping[str, Any]) -> str:
    """The same for people: a few lines a vote and one an attempt; other people's text harmless."""
    request = document["now"]
    lines = [
        f"Sign-off {request['request_id']}: {document['state']}",
        f"Subject: {request['subject']}",
        f"Asked by: {request['requester']['id']} ({_door(request['requester']['method'])})",
        f"Asked: {request['created']}   Deadline: {request['deadline']}",
        f"Evidence: {document['evidence_digest']}",
        "",
        "Votes",
    ]
    for vote in document["votes"]:
        door = _door(vote["actor"]["method"])
        name = vote.get("printed_name") or vote["person"]
        lines.append(f"  {vote['at']}  {name} ({vote['actor']['id']}, {door}): {vote['choice']}")
        lines += [
            f"    {label.replace('_', ' ')}: {vote[label]}"
            for label in ("meaning", "reason", "for_person", "claimed_by")
            if vote.get(label)
        ]
        if vote.get("answers"):
            lines.append(f"    answers: {json.dumps(vote['answers'], ensure_ascii=False)}")
        lines.append(f"    on evidence {vote['evidence_digest']}")
        if not vote["counts"]:
            lines.append(f"    DOES NOT COUNT ({vote.get('code', 'retracted')})")
    if document["decision"]:
        by = ", ".join(document["decision"]["by"])
        lines += ["", f"Decided: {document['decision']['choice']} by {by}"]
    lines += ["", "Attempts"]
    for tried in document["attempts"]:
        code = f" ({tried['code']})" if "code" in tried else ""
        lines.append(
            f"  {tried['at']}  {tried['action']} by {tried['actor']} "
            f"({_door(tried['method'])}): {tried['outcome']}{code}"
        )
    # a line break in somebody's words must not begin a line that looks like ours
    return "\n".join(harmless(line).replace("\n", "\\n") for line in lines) + "\n"


def _door(method: str) -> str:
    return f"{method}: a claim, not authenticated" if method in CLAIMS else method
