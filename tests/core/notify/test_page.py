"""What docs/notify.md shows works as it says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backbeat.identity import Actor
from backbeat.notify import read_settings
from backbeat.notify.signature import signature_headers
from backbeat.testing import slack_server, smtp_server
from backbeat.wiring import embedded

PAGE = Path(__file__).parents[3] / "docs" / "notify.md"


def snippets(language: str) -> list[str]:
    """The page's snippets in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def names() -> dict[str, Any]:
    """What the page's Python snippets define, run one after the other."""
    found: dict[str, Any] = {}
    for snippet in snippets("python"):
        exec(compile(snippet, str(PAGE), "exec"), found)  # noqa: S102 - the page is ours
    return found


def test_the_settings_are_settings() -> None:
    """The page's JSON is taken as it stands."""
    (text,) = snippets("json")
    assert set(read_settings(text).channels) == {"mail", "gate", "slack"}


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's commands, with its settings, end well; the last one is a letter for Ana."""
    from backbeat.cli.main import app

    monkeypatch.setenv("BACKBEAT_NOTIFY", snippets("json")[0])
    monkeypatch.setenv("BACKBEAT_FOLDER", str(tmp_path))
    with smtp_server() as server:
        url = f"mailto://u:p@127.0.0.1:{server.port}?from=gate@bank.example&to={{to}}&mode=insecure"
        monkeypatch.setenv("BACKBEAT_CREDENTIALS_MAIL", json.dumps({"url": url}))
        for command in snippets("bash")[0].splitlines():
            result = CliRunner().invoke(app, command.split()[1:])
            assert result.exit_code == 0, (command, result.output)
        assert [letter.recipients for letter in server.letters] == [("ana@bank.example",)]


def test_the_receiver_takes_what_is_signed_once(names: dict[str, Any]) -> None:
    """The page's receiver acts once on a notice and refuses a forged one."""
    secret, seen = "a secret of enough letters", set[str]()
    at = int(datetime.now(UTC).timestamp())
    headers = signature_headers(secret, message_id="msg_1", body=b"{}", at=at)
    receive = names["receive"]
    assert [receive(headers, b"{}", secret, seen) for _ in range(2)] == [200, 200]
    assert seen == {"msg_1"}
    assert receive(headers, b"{ }", secret, seen) == 401


def test_the_desk_counts_a_vote(names: dict[str, Any], tmp_path: Path) -> None:
    """The page's desk turns a click in Slack into a vote of the sign-off room."""
    from backbeat.notify import Notice
    from backbeat.signoff import Request, Rules, open_request, read_request

    with slack_server() as server:
        settings = json.loads(snippets("json")[0])
        settings["channels"]["slack"] |= {"api": server.api, "team": "T1", "channel": "C1"}
        platform = embedded(tmp_path, registry=False, notify=settings)
        platform.credentials = lambda _: {**server.credentials, "button_key": "k" * 32}
        now = datetime.now(UTC)
        request = Request(
            request_id="so-1",
            subject="Promote?",
            about={"model": "churn"},
            evidence={"accuracy": 0.9},
            requester=Actor(id="bob", method="python"),
            rules=Rules(quorum=1, four_eyes=False),
            created=now,
            deadline=now + timedelta(hours=1),
            workflow="nightly/r1",
        )
        open_request(platform.ledger, request)
        asked = Notice(
            topic="signoff.requested",
            key="signoff.requested:so-1",
            subject=request.subject,
            request_id="so-1",
            evidence_digest=request.evidence_digest,
        )
        from backbeat.notify import message_of
        from backbeat.runner import tick

        platform.ledger.append(
            "test", [], category="test", expected=0, state="", due=None, audit=(),
            messages=[message_of(asked)],
        )  # fmt: skip
        tick(platform)
        with names["desk_of"](platform, settings):
            server.connected()
            server.click("backbeat_approve", user="U0123456")
            server.until(lambda: server.views)
            (view,) = server.views.values()
            answer = server.submit(view, {}, user="U0123456")
        assert "The request is approved." in json.dumps(answer.payload)
        state = read_request(platform.ledger, "so-1")
        assert state.votes[0].actor == Actor(id="U0123456", method="slack")
