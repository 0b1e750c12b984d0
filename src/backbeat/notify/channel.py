"""What a channel is: it shows what it would send, and sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from backbeat.errors import UnmetNeed
from backbeat.notify.notice import Notice

__all__ = ["Channel", "Credentials", "needed"]

Credentials = Callable[[str], Mapping[str, str]]


class Channel(Protocol):
    """A way to people or programs."""

    def render(self, notice: Notice, to: str) -> Mapping[str, Any]:
        """What would be sent, as JSON, without secrets; nothing is opened or looked up.

        Args:
            notice: The notice.
            to: A person's address in this channel; empty for the channel's own target.
        """

    def send(self, notice: Notice, to: str) -> None:
        """Send it.

        Raises:
            RetryableError: Not now; `retry_after` says when where the other end did.
            FinalError: Not before a person changes something.
        """


def needed(credentials: Mapping[str, str], field: str, *, name: str) -> str:
    """One field of credentials; raises UnmetNeed, which names the field and shows nothing."""
    found = credentials.get(field, "")
    if not found:
        raise UnmetNeed(
            f"the credentials {name!r} have no {field!r}",
            hint=f'set BACKBEAT_CREDENTIALS_{name.upper()} to {{"{field}": "…"}} with what else '
            "the channel needs",
        )
    return found
