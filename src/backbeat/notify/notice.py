"""A notice: what people are told, as data that is harmless from its first moment on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from backbeat.notify.plain import line, lines
from backbeat.ports import Message

__all__ = ["ASKING", "CLOSING", "OUTBOX_TOPIC", "Fact", "Notice", "message_of"]

OUTBOX_TOPIC = "notify"
"""Under which a notice waits in the outbox."""

ASKING = frozenset({"signoff.requested", "signoff.reminder", "signoff.escalated", "signoff.voided"})
"""Topics that ask for a vote: channels with buttons show them."""

CLOSING = frozenset({"signoff.decided", "signoff.withdrawn"})
"""Topics after which no vote counts: buttons go."""

_SUBJECT, _TEXT, _NAME, _VALUE = 200, 4000, 80, 500
_LONGEST_LINK = 2000
# keys and digests are the platform's own, and shown as they are
_PLATFORMS = r"^[A-Za-z0-9:+=_.,#-]*$"


def _within(cut: Any, longest: int) -> BeforeValidator:
    def harmless(value: Any) -> Any:
        return cut(value, longest) if isinstance(value, str) else value

    return BeforeValidator(harmless)


def _link(value: Any) -> Any:
    """An address for people to open: it is the platform's word, so a wrong one is an error."""
    if not isinstance(value, str) or not value:
        return value
    parts = urlsplit(value)
    odd = set(value) & set(" <>\"'`|\\")
    if (
        parts.scheme not in {"https", "http"}
        or not parts.hostname
        or "@" in parts.netloc
        or odd
        or not (value.isascii() and value.isprintable())
        or len(value) > _LONGEST_LINK
    ):
        raise ValueError("a notice's link is an http(s):// address, without user and password")
    return value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Frozen):
    """One line of a notice's table.

    Args:
        name: At most 80 letters.
        value: At most 500 letters.
    """

    name: Annotated[str, _within(line, _NAME)]
    value: Annotated[str, _within(line, _VALUE)]


class Notice(_Frozen):
    """What people are told. Whatever its texts are made of, no channel obeys them.

    Args:
        topic: `signoff.requested`, `signoff.reminder`, `signoff.escalated`, `signoff.decided`,
            `signoff.voided`, `signoff.withdrawn`, or another in that form; routes choose by it.
        key: Names this very notice, in ASCII letters, digits and `:+=_.,#-`: the same key is the
            same notice again.
        subject: One line, cut at 200 letters.
        text: Some lines, cut at 4,000 letters.
        to: People and channels by name, in addition to what the routes say.
        facts: Names and values, in order.
        link: Where to read more and to decide; `https://…`, or empty.
        request_id: The sign-off request that it is about; empty where it is about none.
        evidence_digest: What a vote is bound to; empty where nobody can vote on it.
    """

    topic: Annotated[
        str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=80)
    ]
    key: Annotated[str, StringConstraints(pattern=_PLATFORMS, min_length=1, max_length=300)]
    subject: Annotated[str, _within(line, _SUBJECT)]
    text: Annotated[str, _within(lines, _TEXT)] = ""
    to: tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...] = Field(
        default=(), max_length=200
    )
    facts: tuple[Fact, ...] = Field(default=(), max_length=30)
    link: Annotated[str, BeforeValidator(_link)] = ""
    request_id: Annotated[str, StringConstraints(pattern=_PLATFORMS, max_length=256)] = ""
    evidence_digest: Annotated[str, StringConstraints(pattern=_PLATFORMS, max_length=128)] = ""

    def words(self) -> str:
        """The notice as plain text, for channels that know nothing else."""
        parts = [self.text] if self.text else []
        if self.facts:
            parts.append("\n".join(f"{fact.name}: {fact.value}" for fact in self.facts))
        if self.link:
            parts.append(self.link)
        parts.append(f"Notice {self.key}")
        return "\n\n".join(parts)


def message_of(notice: Notice) -> Message:
    """The notice for the outbox, to be written in the commit that it tells of."""
    body: Mapping[str, Any] = notice.model_dump(mode="json")
    return Message(id=f"{OUTBOX_TOPIC}/{notice.key}", topic=OUTBOX_TOPIC, body=body)
