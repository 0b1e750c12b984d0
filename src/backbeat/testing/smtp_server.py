"""A mail server for tests: SMTP over a real socket on loopback, which keeps what it gets.

As much of RFC 5321 as a client needs that has a letter to hand over: EHLO, HELO, MAIL, RCPT, DATA,
RSET, NOOP, QUIT, and AUTH PLAIN and LOGIN (RFC 4954), which take any password and keep none.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

__all__ = ["Letter", "SmtpServer", "smtp_server"]


@dataclass(frozen=True)
class Letter:
    """One letter as it came.

    Args:
        sender: Of the envelope.
        recipients: Of the envelope.
        raw: What followed DATA, its dots unstuffed.
    """

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """Headers and parts, decoded."""
        found = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(found, EmailMessage)  # noqa: S101 - what policy.default makes
        return found


@dataclass
class SmtpServer:
    """What came, and what is to be answered.

    Args:
        port: Where it listens, on 127.0.0.1.
        letters: In the order in which they came.
        failing: So many next letters are put off with a 451.
    """

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    failing: int = 0

    def take(self, sender: str, recipients: list[str], raw: bytes) -> str:
        """Keep a letter, or put it off; returns the answer to its last dot."""
        if self.failing:
            self.failing -= 1
            return "451 ordered by the test"
        self.letters.append(Letter(sender, tuple(recipients), raw))
        return "250 kept"


class _Conversation(socketserver.StreamRequestHandler):
    server: _Listening

    def handle(self) -> None:
        self._say("220 127.0.0.1 ESMTP")
        sender, recipients = "", list[str]()
        while said := self.rfile.readline(4096):
            words = said.decode("utf-8", "replace").strip()
            verb = words[:4].upper()
            if verb == "EHLO":
                self._say("250-127.0.0.1", "250-8BITMIME", "250-SMTPUTF8", "250 AUTH PLAIN LOGIN")
            elif verb == "AUTH":
                self._authenticate(words)
            elif verb == "MAIL":
                sender, recipients = _address(words), []
                self._say("250 ok")
            elif verb == "RCPT":
                recipients.append(_address(words))
                self._say("250 ok")
            elif verb == "DATA":
                self._say("354 end with a dot")
                self._say(self.server.kept.take(sender, recipients, self._letter()))
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok" if verb in {"HELO", "RSET", "NOOP"} else "502 no such command")

    def _authenticate(self, words: str) -> None:
        kind, _, initial = words[5:].partition(" ")
        asked = {"PLAIN": 0 if initial else 1, "LOGIN": 1 if initial else 2}[kind.upper()]
        for _ in range(asked):
            self._say("334 ")
            self.rfile.readline(4096)
        self._say("235 ok")

    def _letter(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class _Listening(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, kept: SmtpServer) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.kept = kept


def _address(words: str) -> str:
    return words.partition("<")[2].partition(">")[0]


@contextmanager
def smtp_server() -> Iterator[SmtpServer]:
    """Run one in a thread of its own."""
    kept = SmtpServer()
    with _Listening(kept) as listening:
        kept.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield kept
        finally:
            listening.shutdown()
            thread.join(10)
