"""What is in a button: which request, which evidence, which choice, until when; signed by us.

`v1.<base64url of JSON>.<base64url of HMAC-SHA256>`. Slack hands a button's value back as it was
posted, and whoever holds a bot's token can post a button with any value: what counts is what this
platform has signed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from backbeat.canonical import canonical_bytes
from backbeat.errors import Refused, UnmetNeed

__all__ = ["ButtonValue", "Choice", "read_value", "signed_value"]

Choice = Literal["approve", "reject"]
_SHORTEST_KEY = 16
_CONTEXT = b"backbeat slack button v1\n"


@dataclass(frozen=True, kw_only=True)
class ButtonValue:
    """What a button stands for.

    Args:
        request_id: The sign-off request.
        evidence_digest: What the message showed; the vote is bound to it.
        choice: `approve` or `reject`.
        team: The workspace it was posted in.
        until: Seconds since 1970 after which it is refused.
    """

    request_id: str
    evidence_digest: str
    choice: Choice
    team: str
    until: int


def signed_value(value: ButtonValue, key: str) -> str:
    """The text for a button; raises UnmetNeed where the key is too short to protect anything."""
    payload = canonical_bytes(asdict(value))
    return f"v1.{_text(payload)}.{_text(_mac(payload, key))}"


def read_value(text: object, key: str, *, now: float) -> ButtonValue:
    """What a button that came back stands for.

    Raises:
        Refused: It is not signed by us, or its time is over.
    """
    if not isinstance(text, str) or text.count(".") != 2 or not text.isascii():  # noqa: PLR2004
        raise Refused("the button is not signed")
    version, payload, signature = text.split(".")
    try:
        body, presented = _bytes(payload), _bytes(signature)
    except (binascii.Error, ValueError):
        raise Refused("the button is not signed") from None
    if version != "v1" or not hmac.compare_digest(_mac(body, key), presented):
        raise Refused("the button's signature is forged")
    # signed by us: its form is known, but for a version of us that never was
    value = ButtonValue(**json.loads(body))
    if value.choice not in get_args(Choice):
        raise Refused("the button stands for no choice")
    if now > value.until:
        raise Refused("the button has expired")
    return value


def _mac(payload: bytes, key: str) -> bytes:
    if len(key) < _SHORTEST_KEY:
        raise UnmetNeed(
            "the button_key of Slack's credentials is too short to protect anything",
            hint="set it to 32 random letters",
        )
    return hmac.digest(key.encode(), _CONTEXT + payload, "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
