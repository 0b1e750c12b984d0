"""A receiver of webhooks, a mail server, and a platform that tells both."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from backbeat.notify import Notice
from backbeat.platform import Platform
from backbeat.testing import SmtpServer, smtp_server
from backbeat.wiring import embedded

SECRET = "a secret of enough letters"  # noqa: S105 - of a test


@dataclass
class Hook:
    """What a webhook's receiver has got.

    Args:
        url: Where it listens.
        answers: Status and headers of the next answers, used up one by one; then 200.
        requests: Headers (lower case) and raw body of every request, in order.
    """

    url: str
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The notices."""
        return [json.loads(body) for _, body in self.requests]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """A receiver on 127.0.0.1, which this process may connect to."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.requests.append(({**headers, "path": self.path}, body))
            status, extra = kept.answers.pop(0) if kept.answers else (200, {})
            self.send_response(status)
            for name, value in {**extra, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nothing to standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept = Hook(f"http://127.0.0.1:{server.server_address[1]}/hooks/gate?tenant=7")
    monkeypatch.setenv("BACKBEAT_ALLOWED_ADDRESSES", "http://127.0.0.1:*")
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_HOOK", json.dumps({"secret": SECRET}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpServer]:
    """A mail server on 127.0.0.1, whose credentials are called `mail`."""
    with smtp_server() as server:
        url = (
            f"mailto://gate:letmein-please@127.0.0.1:{server.port}"
            "?from=gate@bank.example&to={to}&mode=insecure"
        )
        monkeypatch.setenv("BACKBEAT_CREDENTIALS_MAIL", json.dumps({"url": url}))
        yield server


@pytest.fixture
def told(hook: Hook, smtp: SmtpServer, tmp_path: Path) -> Platform:
    """A platform whose notices about sign-off go to the webhook and, for Ana, into the mail."""
    return embedded(
        tmp_path / "platform",
        registry=False,
        notify={
            "channels": {
                "hook": {"kind": "webhook", "url": hook.url, "credentials": "hook"},
                "mail": {"kind": "apprise", "credentials": "mail"},
            },
            "routes": [{"topics": ["signoff.*"], "to": ["hook", "mail"]}],
            "people": {"ana": {"mail": "ana@bank.example"}},
        },
    )


@pytest.fixture
def notice() -> Callable[..., Notice]:
    """Builds a notice; anything can be said otherwise."""

    def build(**fields: Any) -> Notice:
        known = {
            "topic": "signoff.requested",
            "key": "signoff.requested:r1",
            "subject": "Promote churn_model version 7?",
            "text": "Two people have to approve.",
            "to": ["ana"],
            "facts": [{"name": "accuracy", "value": "0.931"}],
            "link": "https://gate.bank.example/requests/r1",
            "request_id": "r1",
            "evidence_digest": "sha256:" + "a" * 64,
        }
        return Notice.model_validate({**known, **fields})

    return build


@pytest.fixture
def enqueue() -> Callable[[Platform, Notice], None]:
    """Puts a notice into a platform's outbox, as the commit that it tells of does."""

    def put(platform: Platform, told: Notice) -> None:
        from backbeat.notify import message_of

        platform.ledger.append(
            "test",
            [],
            category="test",
            expected=0,
            state="",
            due=None,
            audit=(),
            messages=[message_of(told)],
        )

    return put
