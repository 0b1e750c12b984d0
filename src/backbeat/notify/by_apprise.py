"""E-mail and whatever else Apprise reaches."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from backbeat.errors import InvalidData, UnmetNeed, Unreachable
from backbeat.notify.channel import Credentials, needed
from backbeat.notify.notice import Notice
from backbeat.notify.settings import ApprisePlan

__all__ = ["AppriseChannel"]

_PLACE = "{to}"
_one_at_a_time = threading.Lock()


class AppriseChannel:
    """Sends the notice's words as plain text.

    Args:
        plan: Whose credentials.
        credentials: Looks up `url`, anew with each notice.
    """

    def __init__(self, plan: ApprisePlan, credentials: Credentials) -> None:
        self._plan = plan
        self._credentials = credentials

    def render(self, notice: Notice, to: str) -> Mapping[str, Any]:
        """Title and body. Some services cut or escape them further on their own."""
        return {"title": notice.subject, "body": notice.words()}

    def send(self, notice: Notice, to: str) -> None:
        """Send it by Apprise, which says only whether that went well.

        Raises:
            UnmetNeed: Apprise is not installed, or the credentials have no URL.
            InvalidData: The URL is none that Apprise knows, or has no place for a person's address.
            Unreachable: Apprise could not hand it over.
        """
        if find_spec("apprise") is None:
            raise UnmetNeed("this channel needs Apprise", hint='pip install "backbeat[notify]"')
        import apprise

        name = self._plan.credentials
        url = needed(self._credentials(name), "url", name=name)
        if to and _PLACE not in url:
            raise InvalidData(
                f"the URL of the credentials {name!r} has no {_PLACE} for a person's address",
                hint="write mailtos://user:password@host?from=gate@bank.example&to={to}",
            )
        sender = apprise.Apprise(
            asset=apprise.AppriseAsset(
                app_id="backbeat",
                app_desc="backbeat",
                storage_mode=apprise.PersistentStoreMode.MEMORY,
                secure_logging=True,
            )
        )
        # Apprise's own log would quote the URL that it does not understand
        with _quiet():
            known = sender.add(url.replace(_PLACE, quote(to, safe="")))
            if not known:
                raise InvalidData(
                    f"Apprise does not know the URL of the credentials {name!r}",
                    hint="see https://appriseit.com/services for how each one is written",
                )
            sent = sender.notify(
                title=notice.subject,
                body=notice.words(),
                body_format=apprise.NotifyFormat.TEXT,
                interpret_escapes=False,
            )
        if not sent:
            raise Unreachable(
                f"Apprise could not send with the credentials {name!r}",
                hint="look whether the service behind the URL runs and knows us",
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Apprise tells its log of addresses and hosts, at times with what was wrong in them."""
    log = logging.getLogger("apprise")
    with _one_at_a_time:
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before
