"""Clicks in Slack, over its own protocol: which are votes, and which are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from backbeat.errors import Refused, Unreachable
from backbeat.identity import Actor
from backbeat.notify import Notice
from backbeat.notify.slack.form import answers_of
from backbeat.notify.slack.value import ButtonValue, signed_value

Build = Callable[..., Notice]
pytestmark = pytest.mark.usefixtures("desk")
DIGEST = "sha256:" + "a" * 64
KEY = "a button key of enough letters"
FORM = {
    "type": "object",
    "properties": {
        "limit": {"type": "integer", "minimum": 0},
        "rate": {"type": "number"},
        "grade": {"type": "string", "enum": ["A", "B" * 200]},
        "checked": {"type": "boolean"},
        "flags": {"type": "array", "items": {"enum": ["late", "new"]}},
        "note": {"type": "string", "title": "<b>Note</b> for & the file"},
    },
    "required": ["limit"],
}


def block(view: dict[str, Any], number: int) -> str:
    """The id of a modal's so-manieth field."""
    return [one for one in view["blocks"] if one["type"] == "input"][number]["block_id"]


def forged(**change: Any) -> str:
    """A button's value, signed by us but for the change."""
    known = {
        "request_id": "so-1",
        "evidence_digest": DIGEST,
        "choice": "approve",
        "team": "T1",
        "until": 1_700_000_100,
    }
    return signed_value(ButtonValue(**{**known, **change}), KEY)


def test_a_click_and_a_submitted_modal_are_one_vote(office: Any, asking: Build) -> None:
    """What is handed on is who, what, why, the form's answers, and the digest that was shown."""
    office.forms["so-1"] = FORM
    office.channel.send(asking(), "")
    view = office.opened("backbeat_approve")
    assert view["title"]["text"] == "Approve"
    values = {
        block(view, 0): {"value": "5000"},
        block(view, 1): {"value": "0.25"},
        block(view, 2): {"selected_option": {"value": "1"}},
        block(view, 3): {"selected_option": {"value": "1"}},
        block(view, 4): {"selected_options": [{"value": "0"}, {"value": "1"}]},
        block(view, 6): {"value": "I have read <all> of it"},
    }
    answer = office.server.submit(view, values)
    assert answer.seconds < 3
    assert answer.payload["response_action"] == "update"
    assert "Your vote counts." in json.dumps(answer.payload)
    (cast,) = office.votes
    assert cast.actor == Actor(id="U1", method="slack")
    assert (cast.request_id, cast.choice, cast.evidence_digest) == ("so-1", "approve", DIGEST)
    assert cast.reason == "I have read <all> of it"
    assert cast.answers == {
        "limit": 5000,
        "rate": 0.25,
        "grade": "B" * 200,
        "checked": False,
        "flags": ["late", "new"],
    }
    assert office.refused == []


def test_the_same_envelope_and_the_same_modal_count_once(office: Any, asking: Build) -> None:
    """Slack may deliver again what it did not hear us acknowledge; it is acknowledged again."""
    office.channel.send(asking(), "")
    view = office.opened("backbeat_reject")
    office.server.submit(view, {}, envelope="e1")
    office.server.submit(view, {}, envelope="e1")
    office.server.submit(view, {}, envelope="e2")
    assert [cast.choice for cast in office.votes] == ["reject"]


def test_a_vote_that_the_rules_refuse_says_so_in_the_modal(office: Any, asking: Build) -> None:
    """The voter reads why, and a retryable error leaves the modal to be submitted again."""

    def no(_: Any) -> str:
        raise Refused("four eyes are demanded", hint="let somebody else vote")

    def down(_: Any) -> str:
        raise Unreachable("the ledger did not answer")

    office.channel.send(asking(), "")
    view = office.opened("backbeat_approve")
    office.answer = down
    assert "try again" in json.dumps(office.server.submit(view, {}).payload)
    office.answer = no
    assert "four eyes are demanded" in json.dumps(office.server.submit(view, {}).payload)
    assert len(office.votes) == 2


def test_what_a_callback_raises_is_not_shown(office: Any, asking: Build) -> None:
    """An error that is not ours may hold a secret: the voter learns that it failed."""

    def broken(_: Any) -> str:
        raise RuntimeError("password=hunter2hunter2")

    office.answer = broken
    office.channel.send(asking(), "")
    answer = office.server.submit(office.opened("backbeat_approve"), {})
    assert "hunter2" not in json.dumps(answer.payload)
    assert "not recorded" in json.dumps(answer.payload)


def test_an_envelope_is_acknowledged_in_time_however_slow_the_ledger_is(
    office: Any, asking: Build
) -> None:
    """A vote that takes longer than Slack waits is recorded, and the voter is told aside."""
    import threading

    go_on = threading.Event()

    def slow(_: Any) -> str:
        go_on.wait(20)
        return "Your vote counts, if late."

    office.answer = slow
    office.channel.send(asking(), "")
    view = office.opened("backbeat_approve")
    answer = office.server.submit(view, {})
    assert answer.seconds < 3
    assert answer.payload is None
    go_on.set()
    office.server.until(lambda: office.server.whispers)
    assert office.server.whispers[-1]["text"] == "Your vote counts, if late."
    assert office.server.whispers[-1]["user"] == "U1"


@pytest.mark.parametrize(
    ("value", "why", "about"),
    [
        ("approve", "not signed", ""),
        ("", "not signed", ""),
        (None, "not signed", ""),
        (7, "not signed", ""),
        ("v1.e30.e30", "forged", ""),
        ("v1.ü.ü", "not signed", ""),
        (forged()[:-4] + "AAAA", "forged", ""),
        ("v2" + forged()[2:], "forged", ""),
        (signed_value(ButtonValue(request_id="so-1", evidence_digest=DIGEST, choice="approve",
                                  team="T1", until=1_800_000_000), "another key of our own"),
         "forged", ""),
        (forged(until=1_699_999_999), "expired", "so-1"),
        (forged(choice="reject"), "one thing and stands for another", "so-1"),
        (forged(team="T2"), "another workspace", "so-1"),
    ],
)  # fmt: skip
def test_a_button_that_is_not_ours_is_refused_and_on_record(
    office: Any, asking: Build, value: Any, why: str, about: str
) -> None:
    """Forged, unsigned, expired, or of another workspace: no modal, no vote, one refusal."""
    office.channel.send(asking(), "")
    button = {**office.server.buttons()["backbeat_approve"], "value": value}
    assert office.server.press(button).seconds < 3
    office.server.until(lambda: office.refused)
    (told,) = office.refused
    assert why in told.why
    assert (told.user, told.team, told.request_id) == ("U1", "T1", about)
    assert (office.votes, office.server.views) == ([], {})


@pytest.mark.parametrize(
    "change",
    [
        {"user": {"id": "U9", "team_id": "T1"}},
        {"user": {"id": "U1", "team_id": "T2"}},
        {"team": {"id": "T2"}},
        {"user": {}},
        {"user": "U1"},
        {"team": None},
    ],
)
def test_a_stranger_is_refused_and_on_record(
    office: Any, asking: Build, change: dict[str, Any]
) -> None:
    """Unknown users, and known ids from another workspace, get no modal, and submit none."""
    office.channel.send(asking(), "")
    office.server.press(office.server.buttons()["backbeat_approve"], change=change)
    office.server.until(lambda: len(office.refused) == 1)
    assert office.server.views == {}
    view = office.opened("backbeat_approve")
    office.server.submit(view, {}, change=change)
    assert len(office.refused) == 2
    assert office.votes == []


def test_a_modal_that_was_made_up_is_refused(office: Any, asking: Build) -> None:
    """What a modal kept of the button is verified again when it comes back."""
    office.channel.send(asking(), "")
    view = office.opened("backbeat_approve")
    for metadata in ("", "{}", "[]", "no json", json.dumps({"value": "v1.e30.e30"})):
        office.server.submit({**view, "private_metadata": metadata}, {})
    assert len(office.refused) == 5
    office.now += 31 * 86_400
    office.server.submit(view, {})
    assert "expired" in office.refused[-1].why
    assert office.votes == []


def test_it_connects_again(office: Any, asking: Build) -> None:
    """After Slack's announced refresh, and after a connection that just ends, clicks count."""
    office.channel.send(asking(), "")
    for number, end in enumerate((office.server.disconnect, office.server.drop)):
        before = office.server.connected()
        end()
        office.server.connected(after=before)
        view = office.opened("backbeat_approve", user=f"U{number + 1}")
        office.server.submit(view, {}, user=f"U{number + 1}")
    assert [cast.actor.id for cast in office.votes] == ["U1", "U2"]


def test_a_wrong_token_is_said_at_the_start(office: Any) -> None:
    """The SDK would try for ever: a token that Slack does not know is an error at once."""
    from backbeat.notify.settings import SlackPlan
    from backbeat.notify.slack import SlackDesk

    desk = SlackDesk(
        SlackPlan(kind="slack", team="T1", credentials="slack", api=office.server.api),
        lambda _: {"app_token": "xapp-wrong", "bot_token": "xoxb-wrong", "button_key": KEY},
        knows=lambda _: True,
        vote=office.vote,
        on_refused=office.refused.append,
    )
    with pytest.raises(Refused, match="invalid_auth") as caught:
        desk.start()
    assert "xapp-wrong" not in str(caught.value)


def test_an_answer_of_another_type_is_left_to_the_vote() -> None:
    """A number that is none, and a choice that is not there, do not become something else."""
    from backbeat.canonical import digest

    def field(name: str) -> str:
        return digest(name)[7:31]

    values = {
        field("limit"): {"value": {"value": "many"}},
        field("grade"): {"value": {"selected_option": {"value": "7"}}},
        field("flags"): {"value": "odd"},
        "else": {"value": {"value": "x"}},
    }
    assert answers_of(FORM, values) == {"limit": "many"}
