"""How a webhook is signed, and how its receiver verifies it: Standard Webhooks, symmetric (`v1`).

The signed bytes are `<webhook-id>.<webhook-timestamp>.<body>`, the body as it was sent, byte for
byte; the header `webhook-signature` holds `v1,<base64 of HMAC-SHA256>`, several apart by spaces
while a secret is changed. Specification: github.com/standard-webhooks/standard-webhooks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

from backbeat.errors import Refused, UnmetNeed

__all__ = ["REPLAY_SECONDS", "signature_headers", "verify_webhook", "webhook_id"]

REPLAY_SECONDS = 300
"""How far the sender's clock may be from the receiver's."""

_SHORTEST_SECRET = 16
_PREFIX = "whsec_"


def webhook_id(key: str) -> str:
    """The id of a notice by its key: the same for the same notice, and free of `.`."""
    return f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def signature_headers(secret: str, *, message_id: str, body: bytes, at: int) -> dict[str, str]:
    """The three headers of a signed request.

    Args:
        secret: `whsec_<base64>`, or any text of 16 letters and more.
        message_id: The same for a repeat.
        body: As it is sent.
        at: Seconds since 1970.

    Raises:
        UnmetNeed: The secret is too short to protect anything.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{_mac(secret, message_id, str(at), body)}",
    }


def verify_webhook(
    secrets: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
    replay_seconds: float = REPLAY_SECONDS,
) -> str:
    """What a receiver calls before it believes a request.

    Args:
        secrets: The secret, or the old and the new one while it is changed.
        headers: Of the request; their names in any case.
        body: The bytes as they came, not JSON that was read and written again.
        now: Seconds since 1970; the clock's where None.
        replay_seconds: How far the timestamp may be from now, either way.

    Returns:
        The id: a receiver that has seen it drops the repeat.

    Raises:
        Refused: The signature is missing, forged, too old or from the future.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    presented = [
        signature
        for version, _, signature in (
            each.partition(",") for each in given.get("webhook-signature", "").split()
        )
        if version == "v1"
    ]
    known = [secrets] if isinstance(secrets, str) else list(secrets)
    # each is compared, in constant time: which one was right, and how nearly, tells nothing
    matches = [
        hmac.compare_digest(_mac(secret, message_id, at, body).encode(), one.encode())
        for secret in known
        for one in presented
    ]
    if not message_id or not any(matches):
        raise Refused("the webhook's signature is missing or wrong", hint="check the secret")
    # only now: what is not signed is not worth reading
    if not (at.isascii() and at.isdigit() and len(at) <= 12):  # noqa: PLR2004 - year 33658
        raise Refused("the webhook's timestamp is no number of seconds", hint="check the sender")
    if abs((time.time() if now is None else now) - int(at)) > replay_seconds:
        raise Refused(
            f"the webhook was sent more than {replay_seconds:.0f} s from now: it may be a replay",
            hint="compare the clocks of sender and receiver",
        )
    return message_id


def _mac(secret: str, message_id: str, at: str, body: bytes) -> str:
    signed = f"{message_id}.{at}.".encode() + body
    return base64.b64encode(hmac.digest(_key(secret), signed, "sha256")).decode()


def _key(secret: str) -> bytes:
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise UnmetNeed(
                "the webhook's secret begins with whsec_ and is no base64 after it",
                hint="write whsec_ and the base64 of 24 to 64 random bytes",
            ) from None
    if len(key) < _SHORTEST_SECRET:
        raise UnmetNeed(
            "the webhook's secret is too short to protect anything",
            hint="take 24 random bytes or more",
        )
    return key
