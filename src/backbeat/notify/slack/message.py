"""A notice as a Slack message: Block Kit, everybody's words as plain text.

Limits: docs.slack.dev/reference/block-kit: a header holds 150 letters, a section 3,000, ten fields
of 2,000 letters each, a button's value 2,000; a message 50 blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbeat.notify.notice import ASKING, Notice
from backbeat.notify.slack.text import escaped, plain_text
from backbeat.notify.slack.value import ButtonValue, Choice, signed_value

__all__ = ["ACTIONS", "asks", "blocks", "closed_blocks", "fallback_of"]

ACTIONS: Mapping[str, Choice] = {"backbeat_approve": "approve", "backbeat_reject": "reject"}
"""Our buttons' action ids."""

_HEADER, _SECTION, _FIELDS = 150, 2900, 10
_LABELS: Mapping[Choice, tuple[str, str]] = {
    "approve": ("Approve…", "primary"),
    "reject": ("Reject…", "danger"),
}


def asks(notice: Notice) -> bool:
    """Whether a notice is shown with buttons."""
    return notice.topic in ASKING and bool(notice.request_id) and bool(notice.evidence_digest)


def fallback_of(subject: str) -> str:
    """The text that stands in a phone's notification."""
    return escaped(subject)


def blocks(notice: Notice, *, key: str, team: str, until: int) -> list[dict[str, Any]]:
    """The message.

    Args:
        notice: The notice; with buttons where it asks.
        key: Signs the buttons.
        team: The workspace.
        until: When the buttons expire, in seconds since 1970.
    """
    found = _body(notice)
    if asks(notice):
        buttons = [
            _button(action, choice, notice, key=key, team=team, until=until)
            for action, choice in ACTIONS.items()
        ]
        found.append({"type": "actions", "block_id": "backbeat_vote", "elements": buttons})
    found.append(_foot(notice))
    return found


def closed_blocks(subject: str, why: str) -> list[dict[str, Any]]:
    """What is left of a message when nobody can vote by it any more.

    Args:
        subject: As it was shown.
        why: What has become of the request.
    """
    return [
        _header(subject),
        {"type": "section", "text": plain_text(why, _SECTION, otherwise="closed")},
    ]


def _body(notice: Notice) -> list[dict[str, Any]]:
    found = [_header(notice.subject)]
    if notice.text:
        found.append({"type": "section", "text": plain_text(notice.text, _SECTION)})
    for first in range(0, len(notice.facts), _FIELDS):
        fields = [
            plain_text(f"{fact.name}:\n{fact.value}", 600)
            for fact in notice.facts[first : first + _FIELDS]
        ]
        found.append({"type": "section", "fields": fields})
    if notice.link:
        # an address in plain text is no link in Slack: a button that only opens it is one
        opens = {
            "type": "button",
            "action_id": "backbeat_open",
            "text": plain_text("Open", 75),
            "url": notice.link,
        }
        found.append({"type": "actions", "block_id": "backbeat_link", "elements": [opens]})
    return found


def _header(subject: str) -> dict[str, Any]:
    return {"type": "header", "text": plain_text(subject, _HEADER, otherwise="backbeat")}


def _foot(notice: Notice) -> dict[str, Any]:
    digest = f" · evidence {notice.evidence_digest[:19]}" if notice.evidence_digest else ""
    return {"type": "context", "elements": [plain_text(f"{notice.key}{digest}", 500)]}


def _button(
    action: str, choice: Choice, notice: Notice, *, key: str, team: str, until: int
) -> dict[str, Any]:
    label, style = _LABELS[choice]
    value = ButtonValue(
        request_id=notice.request_id,
        evidence_digest=notice.evidence_digest,
        choice=choice,
        team=team,
        until=until,
    )
    return {
        "type": "button",
        "action_id": action,
        "text": plain_text(label, 75),
        "style": style,
        "value": signed_value(value, key),
    }
