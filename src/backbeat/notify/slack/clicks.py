"""What a click means, and whether it is believed: who clicked, where, on which signed button."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backbeat.errors import Refused
from backbeat.identity import Actor
from backbeat.notify.slack.message import ACTIONS
from backbeat.notify.slack.value import ButtonValue, Choice, read_value

__all__ = [
    "Cast",
    "Click",
    "RefusedClick",
    "believed",
    "pressed",
    "read_metadata",
    "refused",
    "written_metadata",
]


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A vote that came through Slack, to be held against the rules.

    Args:
        request_id: The request.
        actor: The person, by Slack's own id: `Actor("U024BE7LH", "slack")`.
        choice: `approve` or `reject`.
        reason: In the voter's own words; nothing was made harmless in them.
        evidence_digest: Of what the message showed, not of what the request shows now.
        answers: The form's, in its types, not yet checked.
        key: The same for a repeat of the same submission.
    """

    request_id: str
    actor: Actor
    choice: Choice
    reason: str
    evidence_digest: str
    answers: Mapping[str, Any] = field(default_factory=dict)
    key: str


@dataclass(frozen=True, kw_only=True)
class RefusedClick:
    """A click that is no vote, for the record.

    Args:
        why: One sentence.
        user: Who it is said to be, by Slack's id; nothing more is known.
        team: From which workspace.
        request_id: What it was about; empty where that is not signed by us.
        choice: As the request's id.
    """

    why: str
    user: str
    team: str
    request_id: str = ""
    choice: str = ""


@dataclass(frozen=True, kw_only=True)
class Click:
    """Whose click on what, once it is believed."""

    user: str
    value: ButtonValue


def believed(
    payload: Mapping[str, Any],
    signed: object,
    *,
    team: str,
    key: str,
    knows: Callable[[str], bool],
    now: float,
) -> Click:
    """Hold a payload against what we know.

    Args:
        payload: Of `block_actions` or `view_submission`.
        signed: The button's value, or what the modal kept of it.
        team: The one workspace that counts.
        key: Signed the buttons.
        knows: Whether a Slack user is somebody.
        now: Seconds since 1970.

    Raises:
        Refused: It is forged, expired, from elsewhere, or by nobody whom we know.
    """
    value = read_value(signed, key, now=now)
    user = _id(payload, "user")
    teams = {_id(payload, "team"), value.team}
    given = payload.get("user")
    if isinstance(given, Mapping) and given.get("team_id") is not None:
        teams.add(str(given["team_id"]))  # in a shared channel people of other companies click too
    if teams != {team}:
        raise Refused("the click comes from another workspace")
    if not user or not knows(user):
        raise Refused("nobody here is known by this Slack user")
    return Click(user=user, value=value)


def refused(payload: Mapping[str, Any], signed: object, why: str, *, key: str) -> RefusedClick:
    """A refusal for the record: what it was about only where we have signed that."""
    request_id = choice = ""
    try:
        value = read_value(signed, key, now=0)
        request_id, choice = value.request_id, value.choice
    except Refused:
        pass  # whose word it is what it was about, nobody knows
    user, team = _id(payload, "user"), _id(payload, "team")
    return RefusedClick(why=why, user=user, team=team, request_id=request_id, choice=choice)


def pressed(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one of our buttons that was pressed; None where it is none of ours."""
    actions = payload.get("actions")
    for action in actions if isinstance(actions, list) else ():
        if isinstance(action, Mapping) and action.get("action_id") in ACTIONS:
            return action
    return None


def written_metadata(signed: str, conversation: str) -> str:
    """What a modal keeps: the button's value, and where to answer."""
    return json.dumps({"value": signed, "conversation": conversation})


def read_metadata(text: object) -> tuple[object, str]:
    """The button's value and where to answer; nothing of it is believed yet."""
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    return found.get("value"), str(found.get("conversation") or "")


def _id(payload: Mapping[str, Any], name: str) -> str:
    part = payload.get(name)
    return str(part.get("id") or "")[:64] if isinstance(part, Mapping) else ""
