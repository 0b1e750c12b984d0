from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from backbeat.errors import NotFound, Refused
from backbeat.ledger import RemoteLedger, SqliteLedger
from backbeat.ledger.wire import VERBS
from backbeat.service import LedgerTokens, Scope, issue, revoke
from backbeat.service.credentials import recognised

Make = Callable[..., Any]


def test_an_expired_token_is_refused(service: Any) -> None:
    """After its time a token says when it ended, and that a retry will not help."""
    with pytest.raises(Refused, match="expired at 20") as caught:
        service.remote(days=-0.01).runs()
    assert caught.value.hint.startswith("ask whoever runs the service for a token")


def test_a_revoked_token_is_refused_at_once(service: Any, actor_of: Make) -> None:
    """A token that has just been used is refused from the very next call on."""
    text = service.token()
    worker = RemoteLedger(service.url, token=text)
    worker.runs()
    with closing(SqliteLedger(service.file)) as ledger:
        revoke(ledger, LedgerTokens(ledger.database), text.split(".")[1], actor=actor_of())
    with pytest.raises(Refused, match="was revoked"):
        worker.runs()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: f"{text}x",
        lambda text: text[:-1],
        lambda text: f"{text}.x",
        lambda text: text.rpartition(".")[0],
        lambda text: f"{text.rpartition('.')[0]}.",
        lambda text: f"bb1.nobody.{text.rpartition('.')[2]}",
        lambda text: f"bb1..{text.rpartition('.')[2]}",
        lambda text: "bb1",
    ],
)
def test_a_token_that_is_not_exactly_one_is_unknown(
    ledger: SqliteLedger, actor_of: Make, change: Callable[[str], str]
) -> None:
    """A guess says nothing about how near it came."""
    book = LedgerTokens(ledger.database)
    fields: dict[str, Any] = {"scope": Scope.WORKER, "workflow": None, "days": 1}
    _, text = issue(ledger, book, **fields, actor=actor_of())
    assert recognised(book, f"Bearer {text}").scope is Scope.WORKER
    assert recognised(book, f"bearer {text}").scope is Scope.WORKER
    with pytest.raises(Refused, match="does not know this token") as caught:
        recognised(book, f"Bearer {change(text)}")
    assert text.split(".")[2] not in str(caught.value)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic bb1.a.b", "bb1.a.b"])
def test_without_a_bearer_token_nobody_is_known(ledger: SqliteLedger, header: str | None) -> None:
    """Another scheme is no token."""
    with pytest.raises(Refused, match="no call without a token"):
        recognised(LedgerTokens(ledger.database), header)


def test_the_ledger_keeps_no_secret(
    ledger: SqliteLedger, actor_of: Make, ledger_dump: Make
) -> None:
    """Who reads the database cannot speak to the service: the stored hash is no token."""
    book = LedgerTokens(ledger.database)
    fields: dict[str, Any] = {"scope": Scope.READER, "workflow": None, "days": 1}
    token, text = issue(ledger, book, **fields, actor=actor_of())
    assert text.split(".")[2] not in "\n".join(ledger_dump(ledger.path))
    with pytest.raises(Refused):
        recognised(book, f"Bearer bb1.{token.id}.{token.secret_hash}")


def test_issuing_and_revoking_are_on_record(
    ledger: SqliteLedger, actor_of: Make, rows: Make
) -> None:
    """The audit log tells which token was made and withdrawn; each is listed with its scope."""
    book = LedgerTokens(ledger.database)
    fields: dict[str, Any] = {"scope": Scope.WORKER, "workflow": "nightly", "days": 2}
    token, _ = issue(ledger, book, **fields, actor=actor_of())
    assert book.tokens() == [token]
    assert (token.expires_at - token.created_at).days == 2
    revoke(ledger, book, token.id, actor=actor_of())
    with pytest.raises(NotFound, match="could be revoked"):
        revoke(ledger, book, token.id, actor=actor_of())
    (listed,) = book.tokens()
    assert listed.revoked_at is not None
    assert (listed.scope, listed.workflow) == (Scope.WORKER, "nightly")
    entries = rows(ledger.path, "SELECT action, outcome FROM backbeat_audit_log ORDER BY position")
    assert [tuple(row.values()) for row in entries] == [
        ("token.issue", "ok"),
        ("token.revoke", "ok"),
    ]


def test_every_verb_belongs_to_a_scope() -> None:
    """There is no verb of the port that no token could call, and a reader writes nothing."""
    assert Scope.WORKER.verbs | Scope.READER.verbs == set(VERBS)
    assert Scope.READER.verbs == {"attempts", "check", "read", "run", "runs", "streams"}
