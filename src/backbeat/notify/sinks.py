"""Notices leave through the outbox: one message a notice, then one for each of its targets.

What a target could not take is tried again for that target alone, with the outbox's own back-off
and the receiver's Retry-After; nobody who got it gets it again for somebody else's sake.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from backbeat.errors import BackbeatError, InvalidData, Unreachable
from backbeat.notify.channels import Channels
from backbeat.notify.notice import OUTBOX_TOPIC, Notice
from backbeat.ports import Ledger, Message, Sink
from backbeat.telemetry import redact

__all__ = ["notify_sinks"]

_log = logging.getLogger(__name__)
Model = TypeVar("Model", bound=BaseModel)


class _Targeted(BaseModel):
    """A notice for one target. The address is looked up at the sending: it may change meanwhile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notice: Notice
    person: str = ""


def notify_sinks(channels: Channels, ledger: Callable[[], Ledger]) -> Mapping[str, Sink]:
    """The outbox's sinks for notices: `notify`, and `notify.<channel>` for each that is served.

    Args:
        channels: The platform's.
        ledger: Whose outbox; built when the first notice leaves.
    """
    each = {f"{OUTBOX_TOPIC}.{name}": _ToChannel(channels, name) for name in channels.served()}
    return {OUTBOX_TOPIC: _Spread(channels, ledger, each), **each}


class _Spread:
    """Makes one message for each target of a notice, in one commit, and lets them leave."""

    def __init__(
        self, channels: Channels, ledger: Callable[[], Ledger], each: Mapping[str, Sink]
    ) -> None:
        self._channels = channels
        self._ledger = ledger
        self._each = each

    def deliver(self, message: Message) -> None:
        notice = _read(Notice, message)
        lost = self._channels.unreached(notice)
        if lost:
            # a name may be a person's, and a log is read by many
            _log.warning("the notice %s has %d names without a channel", notice.key, len(lost))
        messages = [
            Message(
                id=f"{message.id}@{one.channel}/{one.person}",
                topic=f"{OUTBOX_TOPIC}.{one.channel}",
                body=_Targeted(notice=notice, person=one.person).model_dump(mode="json"),
            )
            for one in self._channels.deliveries(notice)
        ]
        if messages:
            _enqueue(self._ledger(), messages)
            try:
                self._ledger().drain(self._each, limit=len(messages))
            except BackbeatError as error:
                _log.warning("notices wait in the outbox: %s", redact(error.message))


class _ToChannel:
    def __init__(self, channels: Channels, name: str) -> None:
        self._channels = channels
        self._name = name

    def deliver(self, message: Message) -> None:
        given = _read(_Targeted, message)
        to = ""
        if given.person:
            people = self._channels.settings.people
            to = people.get(given.person, {}).get(self._name, "")
            if not to:
                _log.warning("%s: a person has no address in %s now", message.id, self._name)
                return
        try:
            self._channels.channel(self._name).send(given.notice, to)
        except BackbeatError as error:
            # what is kept beside the message is read by people who see no secret
            error.message = redact(error.message)
            raise
        except Exception as error:  # noqa: BLE001 - a library's or a notifier's own
            raise Unreachable(
                f"the channel {self._name} failed with {type(error).__name__}",
                hint=f"try `backbeat notify test {self._name}`",
            ) from None


def _enqueue(ledger: Ledger, messages: Sequence[Message]) -> None:
    # without events an append writes messages only, and each id once
    ledger.append(
        OUTBOX_TOPIC,
        [],
        category=OUTBOX_TOPIC,
        expected=0,
        state="",
        due=None,
        audit=(),
        messages=messages,
    )


def _read(kind: type[Model], message: Message) -> Model:
    try:
        return kind.model_validate(message.body)
    except ValidationError:
        raise InvalidData(
            f"the message {message.id} is no notice",
            hint="let sender and receiver run the same version of backbeat",
        ) from None
