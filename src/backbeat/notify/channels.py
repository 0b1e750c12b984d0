"""Channels by name: which of them a notice goes to, for whom, and what it looks like there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from backbeat.errors import BackbeatError, NotFound, UnmetNeed
from backbeat.notify.channel import Channel, Credentials
from backbeat.notify.notice import Notice
from backbeat.notify.settings import (
    ApprisePlan,
    NotifySettings,
    OrchestratorPlan,
    Plan,
    SlackPlan,
    WebhookPlan,
)
from backbeat.ports import Ledger

__all__ = ["Channels", "Delivery", "Notifier"]

Notifier = Callable[[Notice], None]
"""What an adapter gives for a channel of kind `orchestrator`; what it raises means: not now."""

_LIBRARIES: Mapping[type[Plan], str] = {ApprisePlan: "apprise", SlackPlan: "slack_sdk"}


@dataclass(frozen=True)
class Delivery:
    """One notice to one target.

    Args:
        channel: The channel's name.
        person: Who gets it; empty for the channel's own target.
        to: The person's address there.
    """

    channel: str
    person: str
    to: str


class Channels:
    """The channels of a platform.

    Args:
        settings: Channels, routes, people.
        credentials: Looks up secrets by name.
        notifiers: The orchestrator's own, by the channel's name.
        ledger: Where Slack's channel remembers what it has posted, built when it is used.
    """

    def __init__(
        self,
        settings: NotifySettings,
        credentials: Credentials,
        *,
        notifiers: Mapping[str, Notifier] | None = None,
        ledger: Callable[[], Ledger] | None = None,
    ) -> None:
        self.settings = settings
        self._credentials = credentials
        self._notifiers = notifiers or {}
        self._ledger = ledger
        self._built: dict[str, Channel] = {}

    def __iter__(self) -> Iterator[str]:
        """Names, sorted."""
        return iter(sorted(self.settings.channels))

    def served(self) -> list[str]:
        """Those that this process can send to; notices for the others wait for one that can.

        An orchestrator's own takes its callable, Apprise and Slack take their libraries.
        """
        return [name for name in self if self._serves(name, self.settings.channels[name])]

    def channel(self, name: str) -> Channel:
        """A channel by its name.

        Raises:
            NotFound: There is none.
            UnmetNeed: It is the orchestrator's, and this process is not one of its.
        """
        if name not in self.settings.channels:
            raise NotFound(
                f"there is no channel {name!r}",
                hint=f"channels: {', '.join(self) or 'none; set BACKBEAT_NOTIFY'}",
            )
        if name not in self._built:
            self._built[name] = self._build(name, self.settings.channels[name])
        return self._built[name]

    def deliveries(self, notice: Notice) -> list[Delivery]:
        """Where a notice goes, once each.

        In each channel to the people of its `to` who have an address there, else to the channel's
        own target; there too where `to` names the channel itself.
        """
        routed = [
            name for route in self.settings.routes if route.takes(notice.topic) for name in route.to
        ]
        named = [name for name in notice.to if name in self.settings.channels]
        people = {
            who: self.settings.people[who] for who in notice.to if who in self.settings.people
        }
        found: list[Delivery] = []
        for channel in dict.fromkeys([*routed, *named]):
            persons = [
                Delivery(channel, who, addresses[channel])
                for who, addresses in people.items()
                if channel in addresses
            ]
            own = not persons or channel in named
            found += [*persons, *([Delivery(channel, "", "")] if own else [])]
        return found

    def addresses(self, name: str) -> frozenset[str]:
        """The addresses that people have in a channel: in Slack, the users that are somebody."""
        people = self.settings.people.values()
        return frozenset(addresses[name] for addresses in people if name in addresses)

    def unreached(self, notice: Notice) -> list[str]:
        """Names in the notice's `to` that are no channel, and no person with an address on its way.

        They may still see it where a channel's own target is a place that they read.
        """
        reached = {one.person for one in self.deliveries(notice)} | set(self.settings.channels)
        return [name for name in notice.to if name not in reached]

    def preview(self, notice: Notice) -> list[dict[str, Any]]:
        """What every channel would send, whether or not it is on the notice's way; sends nothing.

        Returns:
            For each channel: its name and kind, whether the notice goes there and to whom, and
            what it looks like, or why it could not be made.
        """
        ways = self.deliveries(notice)
        found = []
        for name in self:
            here = [one for one in ways if one.channel == name]
            shown: dict[str, Any] = {
                "channel": name,
                "kind": self.settings.channels[name].kind,
                "routed": bool(here),
                "people": [one.person for one in here if one.person],
            }
            try:
                rendered = dict(self.channel(name).render(notice, here[0].to if here else ""))
                found.append({**shown, "content": rendered})
            except BackbeatError as error:
                found.append({**shown, "error": error.message, "hint": error.hint})
        return found

    def _serves(self, name: str, plan: Plan) -> bool:
        if isinstance(plan, OrchestratorPlan):
            return name in self._notifiers
        library = _LIBRARIES.get(type(plan))
        return library is None or find_spec(library) is not None

    def _build(self, name: str, plan: Plan) -> Channel:
        if isinstance(plan, WebhookPlan):
            from backbeat.notify.webhook import WebhookChannel

            return WebhookChannel(plan, self._credentials)
        if isinstance(plan, ApprisePlan):
            from backbeat.notify.by_apprise import AppriseChannel

            return AppriseChannel(plan, self._credentials)
        if isinstance(plan, SlackPlan):
            from backbeat.notify.slack.channel import SlackChannel

            return SlackChannel(plan, self._credentials, ledger=self._ledger)
        return _Orchestrators(name, self._notifiers.get(name))


class _Orchestrators:
    """The seam for an Airflow notifier or a Dagster resource."""

    def __init__(self, name: str, notifier: Notifier | None) -> None:
        self._name = name
        self._notifier = notifier

    def render(self, notice: Notice, to: str) -> Mapping[str, Any]:
        return {"notice": notice.model_dump(mode="json"), "words": notice.words()}

    def send(self, notice: Notice, to: str) -> None:
        if self._notifier is None:
            raise UnmetNeed(
                f"the channel {self._name!r} is the orchestrator's own, and this is none of its "
                "processes",
                hint="let the orchestrator's own tick deliver it",
            )
        self._notifier(notice)
