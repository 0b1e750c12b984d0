"""`backbeat notify`: channels, previews, and a real try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.testing import smtp_server

Run = Callable[..., Any]


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A mail server, and a platform that tells Ana by it."""
    settings = {
        "channels": {
            "mail": {"kind": "apprise", "credentials": "mail"},
            "pager": {"kind": "orchestrator"},
        },
        "routes": [{"topics": ["signoff.*"], "to": ["mail"]}],
        "people": {"ana": {"mail": "ana@bank.example"}},
    }
    with smtp_server() as server:
        url = f"mailto://gate:letmein@127.0.0.1:{server.port}?from=gate@bank.example&to={{to}}&mode=insecure"
        monkeypatch.setenv("BACKBEAT_NOTIFY", json.dumps(settings))
        monkeypatch.setenv("BACKBEAT_CREDENTIALS_MAIL", json.dumps({"url": url}))
        yield server


def test_channels_are_listed_without_addresses(backbeat: Run, mail: Any) -> None:
    """Names, kinds, topics, and whether this process can send there."""
    found = {one["channel"]: one for one in backbeat("notify", "channels", "--json").json}
    assert found["mail"] == {
        "channel": "mail",
        "kind": "apprise",
        "topics": ["signoff.*"],
        "people": ["ana"],
        "served_here": True,
    }
    assert found["pager"]["served_here"] is False
    out = backbeat("notify", "channels").out
    assert "mail" in out
    assert "@" not in out


def test_a_preview_sends_nothing(backbeat: Run, mail: Any, tmp_path: Path) -> None:
    """A notice of one's own, or the example, as each channel would send it."""
    path = tmp_path / "notice.json"
    path.write_text(
        json.dumps(
            {"topic": "signoff.reminder", "key": "k", "subject": "<b>\u202e", "to": ["ana", "zoe"]}
        )
    )
    answer = backbeat("notify", "preview", path, "--json")
    ways = {one["channel"]: one for one in answer.json["ways"]}
    assert ways["mail"]["content"]["title"] == "‹b›"  # noqa: RUF001 - what is shown instead
    assert ways["mail"]["people"] == ["ana"]
    assert answer.json["unreached"] == ["zoe"]
    assert "Promote churn version 7?" in backbeat("notify", "preview").out
    assert mail.letters == []


def test_a_try_is_a_real_letter(backbeat: Run, mail: Any) -> None:
    """`test` sends now; its key is never that of a notice that is to come."""
    answer = backbeat("notify", "test", "mail", "--person", "ana", "--json")
    (letter,) = mail.letters
    assert letter.recipients == ("ana@bank.example",)
    assert answer.json["sent"] is True
    assert answer.json["key"].startswith("test:")


def test_a_try_that_fails_says_why(backbeat: Run, mail: Any) -> None:
    """A retryable failure, a wrong channel, a wrong person and no notice have their exit codes."""
    mail.failing = 1
    failed = backbeat("notify", "test", "mail", "--person", "ana")
    assert failed.code == 5
    assert "letmein" not in failed.err
    assert backbeat("notify", "test", "fax").code == 6
    assert backbeat("notify", "test", "mail", "--person", "zoe").code == 6
    assert backbeat("notify", "preview", "-", stdin="{}").code == 6
    assert backbeat("notify", "preview", "-", stdin="no json").code == 6


def test_without_settings_it_says_what_to_set(
    backbeat: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is notified by default, and the command says so."""
    monkeypatch.delenv("BACKBEAT_NOTIFY", raising=False)
    assert "BACKBEAT_NOTIFY" in backbeat("notify", "channels").out
