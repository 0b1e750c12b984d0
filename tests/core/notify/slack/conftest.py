"""A Slack on loopback, and a desk that takes its clicks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backbeat.notify import Notice
from backbeat.notify.settings import SlackPlan
from backbeat.notify.slack import Cast, RefusedClick, SlackChannel, SlackDesk
from backbeat.platform import Platform
from backbeat.testing import SlackServer, slack_server
from backbeat.wiring import embedded

KEY = "a button key of enough letters"
PEOPLE = {"U1", "U2"}


@dataclass
class Office:
    """A desk with what came over it.

    Args:
        server: Slack.
        channel: Posts there.
        platform: Whose ledger it is.
        votes: What was handed on.
        refused: What was not.
        answer: What becomes of a vote; may raise.
        forms: By request.
        now: The clock, seconds since 1970.
        desk: Takes the clicks.
    """

    server: SlackServer
    channel: SlackChannel
    platform: Platform
    votes: list[Cast] = field(default_factory=list)
    refused: list[RefusedClick] = field(default_factory=list)
    answer: Callable[[Cast], str] = lambda _: "Your vote counts."
    forms: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    now: float = 1_700_000_000.0
    desk: SlackDesk | None = None

    def vote(self, cast: Cast) -> str:
        """The callback."""
        self.votes.append(cast)
        return self.answer(cast)

    def opened(self, action_id: str, *, user: str = "U1") -> dict[str, Any]:
        """Press a button of the last message and wait for the modal."""
        known = set(self.server.views)
        self.server.click(action_id, user=user)
        self.server.until(lambda: set(self.server.views) - known)
        (name,) = set(self.server.views) - known
        return self.server.views[name]


@pytest.fixture
def server() -> Iterator[SlackServer]:
    """Slack."""
    with slack_server() as running:
        yield running


@pytest.fixture
def office(server: SlackServer, tmp_path: Path) -> Office:
    """Slack with a channel."""
    plan = SlackPlan(
        kind="slack", channel="C1", team=server.team, credentials="slack", api=server.api
    )

    def credentials(_: str) -> Mapping[str, str]:
        return {**server.credentials, "button_key": KEY}

    platform = embedded(tmp_path / "platform", registry=False)
    channel = SlackChannel(
        plan, credentials, ledger=lambda: platform.ledger, clock=lambda: made.now
    )
    made = Office(server, channel, platform)
    made.desk = SlackDesk(
        plan,
        credentials,
        knows=PEOPLE.__contains__,
        vote=made.vote,
        on_refused=made.refused.append,
        form=made.forms.get,
        clock=lambda: made.now,
        ping_seconds=1.0,
    )
    return made


@pytest.fixture
def desk(office: Office) -> Iterator[SlackDesk]:
    """The desk, connected."""
    assert office.desk is not None
    with office.desk as connected:
        office.server.connected()
        yield connected


@pytest.fixture
def asking() -> Callable[..., Notice]:
    """Builds a notice that asks for a vote."""

    def build(**fields: Any) -> Notice:
        known = {
            "topic": "signoff.requested",
            "key": "signoff.requested:so-1",
            "subject": "Promote churn_model version 7?",
            "text": "Two people have to approve.",
            "facts": [{"name": "accuracy", "value": "0.931"}],
            "link": "https://gate.bank.example/requests/so-1",
            "request_id": "so-1",
            "evidence_digest": "sha256:" + "a" * 64,
        }
        return Notice.model_validate({**known, **fields})

    return build
