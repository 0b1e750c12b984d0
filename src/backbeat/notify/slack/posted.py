"""What was posted in Slack about a request, in the ledger: to be updated, and not posted twice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from backbeat.canonical import digest
from backbeat.errors import Conflict
from backbeat.ports import Event, Ledger

__all__ = ["Post", "Posted"]

_CATEGORY = "notify"
_TRIES = 10


@dataclass(frozen=True)
class Post:
    """One message.

    Args:
        conversation: Slack's id of the conversation.
        at: Its timestamp, which is its id there.
        key: The notice's key and its target.
        subject: As it was shown.
        evidence_digest: What its buttons are bound to; empty where it has none.
    """

    conversation: str
    at: str
    key: str
    subject: str
    evidence_digest: str


class Posted:
    """The messages about one request.

    Args:
        ledger: Where they are kept.
        channel: The channel's name or credentials: two Slack apps do not know each other's posts.
        request_id: The request.
    """

    def __init__(self, ledger: Ledger, channel: str, request_id: str) -> None:
        self._ledger = ledger
        # a name of its own form: a request's id may hold anything
        self._stream = f"{_CATEGORY}/slack/{digest([channel, request_id])[7:39]}"

    def posts(self) -> list[Post]:
        """All of them, oldest first."""
        return [Post(**event.body) for event in self._events() if event.kind == "posted"]

    def with_buttons(self) -> list[Post]:
        """Those whose buttons have not been taken away."""
        events = self._events()
        gone = {
            (event.body["conversation"], event.body["at"])
            for event in events
            if event.kind == "stripped"
        }
        posts = [Post(**event.body) for event in events if event.kind == "posted"]
        return [
            post
            for post in posts
            if post.evidence_digest and (post.conversation, post.at) not in gone
        ]

    def stripped(self, post: Post) -> None:
        """Remember that a message has no buttons any more."""
        self._append("stripped", {"conversation": post.conversation, "at": post.at})

    def closed(self) -> str | None:
        """What has become of the request; None while votes count."""
        found = [str(event.body["why"]) for event in self._events() if event.kind == "closed"]
        return found[0] if found else None

    def add(self, post: Post) -> None:
        """Remember a message."""
        self._append("posted", vars(post))

    def close(self, why: str) -> None:
        """Remember that no vote counts any more; the first word stays."""
        if self.closed() is None:
            self._append("closed", {"why": why})

    def _events(self) -> list[Event]:
        return self._ledger.read(self._stream)

    def _append(self, kind: str, body: Mapping[str, Any]) -> None:
        for _ in range(_TRIES):
            with suppress(Conflict):
                self._ledger.append(
                    self._stream,
                    [(kind, body)],
                    category=_CATEGORY,
                    expected=len(self._events()),
                    state="",
                    due=None,
                    audit=(),
                )
                return
        raise Conflict("what was posted in Slack changes faster than it can be noted", hint="wait")
