"""Notifications on a platform: its credentials, its outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbeat.errors import NotFound
from backbeat.platform import Platform
from backbeat.ports import Sink

if TYPE_CHECKING:
    from backbeat.notify import Channels, Notifier
    from backbeat.notify.slack import Cast, RefusedClick, SlackDesk

__all__ = ["channels_of", "notice_sinks", "slack_desk"]


def channels_of(
    platform: Platform,
    notify: str | Path | Mapping[str, Any] | None,
    notifiers: Mapping[str, Notifier] | None = None,
) -> Channels:
    """A platform's channels; none where nothing is set.

    Args:
        platform: Whose credentials and ledger; neither is asked yet.
        notify: See `embedded`.
        notifiers: See `embedded`.

    Raises:
        UnmetNeed: The settings are wrong.
    """
    from backbeat.notify import Channels, read_settings

    return Channels(
        read_settings(notify or {}),
        platform.credentials,
        notifiers=notifiers,
        ledger=lambda: platform.ledger,
    )


def notice_sinks(
    platform: Platform,
    notify: str | Path | Mapping[str, Any],
    notifiers: Mapping[str, Notifier] | None = None,
) -> Mapping[str, Sink]:
    """What delivers notices from the platform's outbox; raises UnmetNeed as `channels_of` does."""
    from backbeat.notify import notify_sinks

    return notify_sinks(channels_of(platform, notify, notifiers), lambda: platform.ledger)


def slack_desk(
    platform: Platform,
    notify: str | Path | Mapping[str, Any],
    channel: str,
    *,
    vote: Callable[[Cast], str],
    on_refused: Callable[[RefusedClick], None],
    form: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
) -> SlackDesk:
    """What takes the clicks on a platform's Slack messages; it knows those with an address there.

    Args:
        platform: Whose credentials.
        notify: See `embedded`.
        channel: The Slack channel's name.
        vote: See `SlackDesk`.
        on_refused: See `SlackDesk`.
        form: See `SlackDesk`.

    Raises:
        NotFound: There is no such channel of Slack's.
        UnmetNeed: The settings are wrong.
    """
    from backbeat.notify.settings import SlackPlan
    from backbeat.notify.slack import SlackDesk

    channels = channels_of(platform, notify)
    plan = channels.settings.channels.get(channel)
    if not isinstance(plan, SlackPlan):
        raise NotFound(
            f"there is no channel {channel!r} of kind slack",
            hint=f"channels: {', '.join(channels) or 'none'}",
        )
    return SlackDesk(
        plan,
        platform.credentials,
        knows=channels.addresses(channel).__contains__,
        vote=vote,
        on_refused=on_refused,
        form=form,
    )
