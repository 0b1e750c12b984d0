"""Notices on their way: outbox, webhook, mail."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from backbeat.notify import Notice, verify_webhook
from backbeat.platform import Platform
from backbeat.runner import tick
from backbeat.testing import SmtpServer

Enqueue = Callable[[Platform, Notice], None]
Build = Callable[..., Notice]
SECRET = "a secret of enough letters"  # noqa: S105 - of a test


def waiting(folder: Path) -> list[dict[str, Any]]:
    """What lies in the outbox, read without backbeat's own code."""
    with closing(sqlite3.connect(folder / "platform" / "ledger.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM backbeat_outbox")]


def make_due(folder: Path) -> None:
    """Let the back-off be over."""
    with closing(sqlite3.connect(folder / "platform" / "ledger.db")) as connection:
        connection.execute("UPDATE backbeat_outbox SET next_at = '2020-01-01T00:00:00.000000Z'")
        connection.commit()


def test_one_tick_brings_a_notice_to_webhook_and_mail(
    told: Platform, notice: Build, enqueue: Enqueue, hook: Any, smtp: SmtpServer, tmp_path: Path
) -> None:
    """A notice that was committed is a signed POST and a real letter after the next tick."""
    enqueue(told, notice())
    tick(told)
    (headers, body) = hook.requests[0]
    verify_webhook(SECRET, headers, body)
    assert json.loads(body) == notice().model_dump(mode="json")
    assert headers["idempotency-key"] == "signoff.requested:r1"
    assert headers["path"] == "/hooks/gate?tenant=7"
    (letter,) = smtp.letters
    assert letter.recipients == ("ana@bank.example",)
    assert letter.message["Subject"] == "Promote churn_model version 7?"
    text = letter.message.get_body(("plain", "html"))
    assert text is not None
    content = text.get_content()
    assert "Two people have to approve." in content
    assert "Notice signoff.requested:r1" in content
    assert waiting(tmp_path) == []


def test_what_one_channel_did_not_take_is_sent_to_no_other_again(
    told: Platform, notice: Build, enqueue: Enqueue, hook: Any, smtp: SmtpServer, tmp_path: Path
) -> None:
    """A failing mail server holds back the letter alone; the webhook has its notice once."""
    smtp.failing = 1
    enqueue(told, notice())
    tick(told)
    assert (len(hook.requests), len(smtp.letters)) == (1, 0)
    (left,) = waiting(tmp_path)
    assert (left["topic"], left["tries"]) == ("notify.mail", 1)
    make_due(tmp_path)
    tick(told)
    assert (len(hook.requests), len(smtp.letters), waiting(tmp_path)) == (1, 1, [])


def test_a_receivers_retry_after_is_kept(
    told: Platform, notice: Build, enqueue: Enqueue, hook: Any, tmp_path: Path
) -> None:
    """A webhook that asks for an hour is not asked again by the next tick."""
    hook.answers = [(429, {"Retry-After": "3600"})]
    enqueue(told, notice(to=()))
    tick(told)
    tick(told)
    (left,) = [row for row in waiting(tmp_path) if row["topic"] == "notify.hook"]
    assert (len(hook.requests), left["tries"]) == (1, 1)
    waits = datetime.fromisoformat(left["next_at"]) - datetime.fromisoformat(left["created_at"])
    assert waits.total_seconds() >= 3600
    make_due(tmp_path)
    tick(told)
    first, again = hook.requests
    assert first[1] == again[1]
    assert first[0]["webhook-id"] == again[0]["webhook-id"]


def test_no_secret_is_in_the_outbox_or_its_errors(
    told: Platform,
    notice: Build,
    enqueue: Enqueue,
    hook: Any,
    smtp: SmtpServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a password, nor a secret, nor the webhook's path stands beside what waits."""
    hook.answers = [(500, {})]
    smtp.failing = 1
    enqueue(told, notice())
    tick(told)
    ledger = (tmp_path / "platform" / "ledger.db").read_bytes()
    errors = [row["error"] for row in waiting(tmp_path)]
    assert len(errors) == 2
    assert all(errors)
    for secret in (SECRET, "letmein-please", "tenant=7", "ana@bank.example"):
        assert secret.encode() not in ledger
        assert all(secret not in error for error in errors)


def test_a_broken_channel_never_fails_what_told_of_it(
    notice: Build, enqueue: Enqueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials, and with a notifier that raises, a tick goes well and both wait."""
    from backbeat.wiring import embedded

    def raises(_: Notice) -> None:
        raise RuntimeError("password=hunter2hunter2")

    monkeypatch.delenv("BACKBEAT_CREDENTIALS_MAIL", raising=False)
    platform = embedded(
        tmp_path / "platform",
        registry=False,
        notify={
            "channels": {
                "mail": {"kind": "apprise", "credentials": "mail"},
                "pager": {"kind": "orchestrator"},
            },
            "routes": [{"topics": ["*"], "to": ["mail", "pager"]}],
        },
        notifiers={"pager": raises},
    )
    enqueue(platform, notice())
    tick(platform)
    found = {row["topic"]: row["error"] for row in waiting(tmp_path)}
    assert found["notify.mail"] == "there are no credentials 'mail'"
    assert found["notify.pager"] == "the channel pager failed with RuntimeError"


def test_an_orchestrators_own_channel_waits_for_the_orchestrator(
    notice: Build, enqueue: Enqueue, tmp_path: Path
) -> None:
    """A tick of a process without the notifier leaves the notice to one that has it."""
    from backbeat.wiring import embedded

    settings: dict[str, Any] = {
        "channels": {"pager": {"kind": "orchestrator"}},
        "routes": [{"topics": ["signoff.*"], "to": ["pager"]}],
    }
    elsewhere = embedded(tmp_path / "platform", registry=False, notify=settings)
    enqueue(elsewhere, notice())
    tick(elsewhere)
    assert [row["topic"] for row in waiting(tmp_path)] == ["notify.pager"]
    heard: list[Notice] = []
    at_home = embedded(
        tmp_path / "platform", registry=False, notify=settings, notifiers={"pager": heard.append}
    )
    tick(at_home)
    assert heard == [notice()]
    assert waiting(tmp_path) == []
