"""Slack messages: what is posted, what is updated, and that no stale button stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backbeat.errors import NotFound, Overloaded, Refused, UnmetNeed
from backbeat.notify import Notice

Build = Callable[..., Notice]
OTHER = "sha256:" + "b" * 64


def voting(message: dict[str, Any]) -> set[str]:
    """A message's buttons that vote."""
    return {
        element["action_id"]
        for block in message["blocks"]
        for element in block.get("elements", ())
        if element.get("action_id", "").startswith(("backbeat_approve", "backbeat_reject"))
    }


def test_a_request_is_posted_once_with_its_buttons(office: Any, asking: Build) -> None:
    """The same notice again, as after a lost commit, is not a second message."""
    office.channel.send(asking(), "")
    office.channel.send(asking(), "")
    (message,) = office.server.shown()
    assert voting(message) == {"backbeat_approve", "backbeat_reject"}
    assert message["text"] == "Promote churn_model version 7?"


def test_after_the_decision_no_message_has_a_button(office: Any, asking: Build) -> None:
    """Request, reminder and a person's own message lose their buttons, each once."""
    office.channel.send(asking(), "")
    office.channel.send(asking(), "U2")
    office.channel.send(asking(topic="signoff.reminder", key="signoff.reminder:so-1:1"), "")
    decided = asking(
        topic="signoff.decided", key="signoff.decided:so-1", text="Approved by ana and ben."
    )
    office.channel.send(decided, "")
    office.channel.send(decided, "U2")
    shown = [*office.server.shown(), *office.server.shown("D2")]
    assert len(shown) == 5
    assert [voting(message) for message in shown] == [set()] * 5
    assert "Approved by ana and ben." in str(shown[0]["blocks"])
    assert [method for method, _ in office.server.calls].count("chat.update") == 3


def test_what_is_posted_after_the_decision_has_no_button(office: Any, asking: Build) -> None:
    """A request that waited in the outbox until it was decided asks nobody any more."""
    decided = asking(topic="signoff.decided", key="signoff.decided:so-1", text="Rejected.")
    office.channel.send(decided, "")
    office.channel.send(asking(), "")
    assert [voting(message) for message in office.server.shown()] == [set(), set()]
    # not even for a moment
    assert [voting(call) for _, call in office.server.calls] == [set(), set()]


def test_changed_evidence_takes_the_old_buttons_and_brings_new_ones(
    office: Any, desk: Any, asking: Build
) -> None:
    """Votes were voided: the old message cannot be voted by, the new one is bound to the new."""
    office.channel.send(asking(), "")
    changed = asking(topic="signoff.voided", key="signoff.voided:so-1:2", evidence_digest=OTHER)
    office.channel.send(changed, "")
    old, new = office.server.shown()
    assert voting(old) == set()
    assert voting(new) == {"backbeat_approve", "backbeat_reject"}
    office.server.submit(office.opened("backbeat_approve"), {})
    assert office.votes[-1].evidence_digest == OTHER


def test_a_deleted_message_does_not_stand_in_the_way(office: Any, asking: Build) -> None:
    """A message that somebody deleted has no buttons: the decision is told all the same."""
    office.channel.send(asking(), "")
    office.server.messages.clear()
    office.channel.send(asking(topic="signoff.decided", key="d"), "")
    assert len(office.server.shown()) == 1


def test_slacks_rate_limit_is_respected(office: Any, asking: Build) -> None:
    """A 429 is an error that says how long to wait, for the outbox to keep to; then it goes."""
    office.server.failing = [(429, {"Retry-After": "17"}, {"ok": False, "error": "ratelimited"})]
    with pytest.raises(Overloaded) as caught:
        office.channel.send(asking(), "")
    assert caught.value.retry_after == 17
    office.channel.send(asking(), "")
    assert len(office.server.shown()) == 1


def test_slacks_errors_are_ours(office: Any, asking: Build) -> None:
    """A channel without the bot, a revoked token: what to do, and no token in the words."""
    with pytest.raises(NotFound, match="channel_not_found"):
        office.channel.send(asking(), "C9")
    office.server.failing = [(200, {}, {"ok": False, "error": "token_revoked"})]
    with pytest.raises(Refused, match="token_revoked") as caught:
        office.channel.send(asking(), "")
    assert "xoxb" not in str(caught.value)


def test_a_person_gets_it_alone(office: Any, asking: Build) -> None:
    """An address is a Slack user: the message goes to that person's conversation with the app."""
    office.channel.send(asking(), "U2")
    assert (len(office.server.shown("D2")), office.server.shown()) == (1, [])


def test_a_preview_shows_no_button_that_could_be_pressed(office: Any, asking: Build) -> None:
    """Whoever may preview gets no signed value; nothing is posted."""
    shown = office.channel.render(asking(), "")
    assert "'value'" not in str(shown)
    assert "backbeat_approve" in str(shown)
    assert office.server.calls == []


def test_without_a_key_nothing_is_posted(office: Any, asking: Build) -> None:
    """Buttons that anybody could forge are worse than none."""
    from backbeat.notify.settings import SlackPlan
    from backbeat.notify.slack import SlackChannel

    channel = SlackChannel(
        SlackPlan(kind="slack", channel="C1", team="T1", credentials="s", api=office.server.api),
        lambda _: {**office.server.credentials, "button_key": "short"},
        ledger=lambda: office.platform.ledger,
    )
    with pytest.raises(UnmetNeed, match="too short"):
        channel.send(asking(), "")
    assert office.server.shown() == []
