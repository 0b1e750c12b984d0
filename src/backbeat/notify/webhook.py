"""A webhook: the notice as signed JSON, by one guarded POST."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any

import backbeat
from backbeat.addresses import AddressRules
from backbeat.canonical import canonical_bytes
from backbeat.notify.channel import Credentials, needed
from backbeat.notify.notice import Notice
from backbeat.notify.reaching import Resolve, post, require_target
from backbeat.notify.settings import WebhookPlan
from backbeat.notify.signature import signature_headers, webhook_id

__all__ = ["WebhookChannel"]


class WebhookChannel:
    """Posts the notice's JSON, with `Idempotency-Key` and the signature of `signature`.

    Args:
        plan: Where to.
        credentials: Looks up `secret`, anew with each notice.
        rules: What may be connected to; those of the environment where None.
        resolve: Asks the name server; the system's own where None.
        authorities: Whom TLS trusts; the system's where None.
    """

    def __init__(
        self,
        plan: WebhookPlan,
        credentials: Credentials,
        *,
        rules: AddressRules | None = None,
        resolve: Resolve | None = None,
        authorities: ssl.SSLContext | None = None,
    ) -> None:
        self._plan = plan
        self._credentials = credentials
        self._rules = rules
        self._resolve = resolve
        self._authorities = authorities

    def render(self, notice: Notice, to: str) -> Mapping[str, Any]:
        """The body, and the headers but for the signature."""
        return {
            "url": require_target(self._plan.url, self._rules).shown,
            "headers": _headers(notice),
            "body": notice.model_dump(mode="json"),
        }

    def send(self, notice: Notice, to: str) -> None:
        """Post it; an answer of 2xx or 409 (it was there already) means delivered."""
        target = require_target(self._plan.url, self._rules)
        name = self._plan.credentials
        secret = needed(self._credentials(name), "secret", name=name)
        body = canonical_bytes(notice.model_dump(mode="json"))
        signed = signature_headers(
            secret, message_id=webhook_id(notice.key), body=body, at=int(time.time())
        )
        post(
            target,
            body,
            {**_headers(notice), **signed},
            resolve=self._resolve,
            authorities=self._authorities,
        )


def _headers(notice: Notice) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": f"backbeat/{backbeat.__version__}",
        "Idempotency-Key": notice.key,
    }
