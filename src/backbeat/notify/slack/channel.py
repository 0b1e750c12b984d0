"""Slack as a channel: posts notices, with buttons where they ask, and takes stale buttons away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from backbeat.errors import InvalidData, NotFound, UnmetNeed
from backbeat.notify.channel import Credentials, needed
from backbeat.notify.notice import CLOSING, Notice
from backbeat.notify.settings import SlackPlan
from backbeat.notify.slack.calls import asked, web_client
from backbeat.notify.slack.message import asks, blocks, closed_blocks, fallback_of
from backbeat.notify.slack.posted import Post, Posted
from backbeat.ports import Ledger

__all__ = ["SlackChannel"]

_BUTTON_SECONDS = 30 * 86_400
_CHANGED = "The evidence has changed: votes by this message count no more."
_SILENT = {"unfurl_links": False, "unfurl_media": False, "mrkdwn": False, "link_names": False}


class SlackChannel:
    """Posts as the app's bot, into a conversation or to a person.

    What it posted about a request is kept in the ledger. A repeat of the same notice is not posted
    again, unless the process died between Slack's answer and the ledger; when the request is
    decided, or its evidence has changed, the buttons of every message about it go.

    Args:
        plan: Workspace and conversation.
        credentials: Looks up `bot_token` and `button_key`, anew with each notice.
        ledger: Builds the ledger; needed for notices about requests.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        plan: SlackPlan,
        credentials: Credentials,
        *,
        ledger: Callable[[], Ledger] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._credentials = credentials
        self._ledger = ledger
        self._clock = clock

    def render(self, notice: Notice, to: str) -> Mapping[str, Any]:
        """The message; its buttons' values are left out, as whoever has one has a button."""
        shown = blocks(notice, key="x" * 32, team=self._plan.team, until=0)
        for block in shown:
            for element in block.get("elements", ()):
                element.pop("value", None)
        return {
            "channel": to or self._plan.channel,
            "text": fallback_of(notice.subject),
            "blocks": shown,
        }

    def send(self, notice: Notice, to: str) -> None:
        """Post it, and update what was posted before where this notice changes that.

        Raises:
            UnmetNeed: There is no ledger, or a credential is missing.
            InvalidData: There is neither a person's address nor a channel.
            Overloaded: Slack asks for patience.
            BackbeatError: As `asked` says.
        """
        if not notice.request_id:
            self._post(notice, to)
            return
        posted = self._posted(notice.request_id)
        if notice.topic in CLOSING:
            why = notice.text or notice.subject
            posted.close(why)
            for post in posted.with_buttons():
                self._strip(posted, post, why)
        elif notice.topic == "signoff.voided":
            for post in posted.with_buttons():
                if post.evidence_digest != notice.evidence_digest:
                    self._strip(posted, post, _CHANGED)
        key = f"{notice.key}@{to}"
        if any(post.key == key for post in posted.posts()):
            return
        closed = posted.closed()
        conversation, at = self._post(notice, to, closed=closed)
        shown = notice.evidence_digest if asks(notice) and closed is None else ""
        post = Post(conversation, at, key, notice.subject, shown)
        posted.add(post)
        why_now = posted.closed()
        if shown and why_now is not None:
            # it was decided between the look and the posting
            self._strip(posted, post, why_now)

    def _post(self, notice: Notice, to: str, *, closed: str | None = None) -> tuple[str, str]:
        conversation = to or self._plan.channel
        if not conversation:
            raise InvalidData(
                "there is no conversation to post to",
                hint="give the Slack channel a `channel`, or people an address there",
            )
        name = self._plan.credentials
        made = (
            closed_blocks(notice.subject, closed)
            if closed is not None and asks(notice)
            else blocks(
                notice,
                key=needed(self._credentials(name), "button_key", name=name),
                team=self._plan.team,
                until=int(self._clock()) + _BUTTON_SECONDS,
            )
        )
        client = web_client(self._plan, self._credentials)
        answer = asked(
            client.chat_postMessage,
            channel=conversation,
            text=fallback_of(notice.subject),
            blocks=made,
            **_SILENT,
        )
        return str(answer["channel"]), str(answer["ts"])

    def _strip(self, posted: Posted, post: Post, why: str) -> None:
        client = web_client(self._plan, self._credentials)
        # somebody may have deleted the message, and its buttons with it
        with suppress(NotFound):
            asked(
                client.chat_update,
                channel=post.conversation,
                ts=post.at,
                text=fallback_of(post.subject),
                blocks=closed_blocks(post.subject, why),
            )
        posted.stripped(post)

    def _posted(self, request_id: str) -> Posted:
        if self._ledger is None:
            raise UnmetNeed(
                "Slack's buttons need a ledger (rung 1), where it is kept what was posted",
                hint="give the platform a ledger",
            )
        return Posted(self._ledger(), self._plan.credentials, request_id)
