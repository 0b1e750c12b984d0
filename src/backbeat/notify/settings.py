"""Channels, routes and addresses of people, as data without a secret in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from backbeat.errors import UnmetNeed

__all__ = [
    "ApprisePlan",
    "NotifySettings",
    "OrchestratorPlan",
    "Plan",
    "Route",
    "SlackPlan",
    "WebhookPlan",
    "read_settings",
]

_HINT = 'write {"channels": {"mail": {"kind": "apprise", "credentials": "mail"}}, "routes": …}'
ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
PersonName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Address = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,320}$")]
CredentialName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class _Plan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApprisePlan(_Plan):
    """Whatever Apprise reaches: e-mail, Teams, Telegram, ...

    Args:
        credentials: Name of the credentials whose `url` is Apprise's URL, since that holds the
            password. `{to}` in it stands for a person's address.
    """

    kind: Literal["apprise"]
    credentials: CredentialName


class WebhookPlan(_Plan):
    """One POST a notice.

    Args:
        url: Where to; see `webhook`.
        credentials: Name of the credentials whose `secret` signs.
    """

    kind: Literal["webhook"]
    url: str = Field(max_length=2000)
    credentials: CredentialName


class SlackPlan(_Plan):
    """Messages with buttons, as a Slack app's bot.

    Args:
        channel: Conversation that gets what no person of the notice can get: its id.
        team: The workspace's id, such as `T0123`; a click from elsewhere is refused.
        credentials: Name of the credentials with `bot_token` (`xoxb-…`), `app_token` (`xapp-…`) and
            `button_key`, any long random text: it signs what is in the buttons.
        api: Slack's API; another for GovSlack.
    """

    kind: Literal["slack"]
    channel: Address = ""
    team: Address
    credentials: CredentialName
    api: str = "https://slack.com/api/"


class OrchestratorPlan(_Plan):
    """What the orchestrator has itself: an Airflow notifier, a Dagster resource.

    Args:
        kind: `orchestrator`; the adapter gives a callable under the channel's name.
    """

    kind: Literal["orchestrator"]


Plan = Annotated[
    ApprisePlan | WebhookPlan | SlackPlan | OrchestratorPlan, Field(discriminator="kind")
]


class Route(_Plan):
    """Which topics go where.

    Args:
        topics: Topics, with `*` for any letters: `signoff.*`.
        to: Channels.
    """

    topics: tuple[str, ...] = Field(min_length=1)
    to: tuple[ChannelName, ...] = Field(min_length=1)

    def takes(self, topic: str) -> bool:
        """Whether a topic goes this way."""
        return any(fnmatchcase(topic, pattern) for pattern in self.topics)


class NotifySettings(_Plan):
    """All of it.

    Args:
        channels: By name.
        routes: A notice goes to the channels of every route that takes its topic.
        people: By name, their addresses by channel: `{"ana": {"mail": "ana@bank.example"}}`.
    """

    channels: Mapping[ChannelName, Plan] = Field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    people: Mapping[PersonName, Mapping[ChannelName, Address]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_channels(self) -> NotifySettings:
        named = {name for route in self.routes for name in route.to}
        named |= {name for addresses in self.people.values() for name in addresses}
        unknown = sorted(named - set(self.channels))
        if unknown:
            raise ValueError(f"there is no channel {unknown[0]!r}")
        both = sorted(set(self.people) & set(self.channels))
        if both:
            raise ValueError(f"{both[0]!r} is a person and a channel: a notice could mean either")
        return self


def read_settings(given: str | Path | Mapping[str, Any]) -> NotifySettings:
    """The settings from JSON, the path of a file with it, or as they are.

    Raises:
        UnmetNeed: It is none of these; says what is wrong, and shows none of its values.
    """
    try:
        if isinstance(given, Mapping):
            return NotifySettings.model_validate(given)
        text = str(given)
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
        return NotifySettings.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = f"{place}: {first['msg']}" if place else str(first["msg"])
        raise UnmetNeed(f"the notification settings are wrong: {said}", hint=_HINT) from None
    except (OSError, ValueError) as error:
        raise UnmetNeed(
            f"the notification settings cannot be read ({type(error).__name__})",
            hint="set BACKBEAT_NOTIFY to a JSON object, or to the path of a file with one",
        ) from None
