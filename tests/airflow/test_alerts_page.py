"""What docs/alerts.md shows for Airflow, run."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat import sdk as compat

import backbeat
from backbeat.step import Done
from backbeat_provider.alerts import tell

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
FOUND = Done(
    value={"verdict": "drifted", "alarms": ["distance"], "severity": "high"},
    evidence={"decision": {"columns": [{"name": "distance", "reason": "it moved"}]}},
)

Tell = Callable[[Any], None]


@pytest.fixture
def tell_by(tmp_path: Path, context: Callable[..., dict[str, Any]]) -> Tell:
    """Tells of drift by one notifier."""

    def told(notifier: Any) -> None:
        task = SimpleNamespace(task_id="drift", retries=0)
        tell(
            [notifier],
            FOUND,
            kind="drift.check/v1",
            context=context(task),
            platform=backbeat.embedded(str(tmp_path), registry=False),
            monitor="monitors/parcels",
            partition="2024-05-02",
            report="",
        )

    return told


def _snippet(word: str) -> dict[str, Any]:
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (snippet,) = [text for text in snippets if word in text and "dagster" not in text]
    names: dict[str, Any] = {}
    exec(compile(snippet.replace("\nparcels()", "\nmade = parcels()"), str(PAGE), "exec"), names)  # noqa: S102
    return names


@contextmanager
def _served(handler: type[socketserver.BaseRequestHandler], server: Any) -> Iterator[int]:
    with server(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as one message takes."""

    letters: list[bytes]

    def handle(self) -> None:
        """Take one client's messages."""
        self._say("220 ready")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"DATA":
                self._say("354 go on")
                self.letters.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self._say("221 bye" if verb == b"QUIT" else "250 ok")

    def _say(self, answer: str) -> None:
        self.wfile.write(f"{answer}\r\n".encode())


@pytest.mark.xfail(
    not hasattr(compat, "conf"),
    raises=ImportError,
    strict=True,
    reason="the SMTP provider 3.0 imports a name that Airflow 3.1's pinned common.compat has not",
)
@pytest.mark.usefixtures("airflow_database")
def test_the_notifier_sends_a_letter(tell_by: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example is a DAG, and its SmtpNotifier reaches a server."""
    dag = _snippet("SmtpNotifier")["made"]
    assert set(dag.task_ids) == {"drift"}
    (notifier,) = dag.get_task("drift").notify
    handler = type("Here", (Mailbox,), {"letters": []})
    with _served(handler, socketserver.ThreadingTCPServer) as port:
        extra = {"disable_tls": True, "disable_ssl": True}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        tell_by(notifier)
    (sent,) = handler.letters
    letter = message_from_bytes(sent, policy=policy.default)
    assert letter["To"] == "team@example.com"
    assert letter["Subject"] == "Drift in dag.drift, 2024-05-02: distance"
    body = letter.get_body().get_content()
    assert "- distance: it moved" in body
    assert "backbeat drift mute monitors/parcels distance" in body


def test_the_webhook_is_called(tell_by: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function is a notifier too, and its address is a secret that Airflow keeps."""
    received: list[dict[str, str]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with _served(Chat, HTTPServer) as port:
        connection = {"conn_type": "generic", "password": f"http://127.0.0.1:{port}/hook"}
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(connection))
        tell_by(_snippet("urlopen")["webhook"])
    assert "distance" in received[0]["text"]


def test_the_counter_counts(tell_by: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert is a number of Airflow's own metrics, which StatsD gets."""
    names = _snippet("Stats.incr")
    counted: list[str] = []
    monkeypatch.setattr(names["Stats"], "incr", counted.append)
    tell_by(names["count"])
    assert counted == ["backbeat.alerts.dag.drift.drifted"]
