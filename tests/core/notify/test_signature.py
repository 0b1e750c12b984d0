"""The signature of a webhook: the specification's own example, and everything that is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import Refused, UnmetNeed
from backbeat.notify.signature import signature_headers, verify_webhook, webhook_id

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the published example
AT = 1614265330
BODY = b'{"test": 2432232314}'


def signed(secret: str = SECRET, body: bytes = BODY, at: int = AT) -> dict[str, str]:
    """Headers of a request."""
    return signature_headers(secret, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", body=body, at=at)


def test_it_is_what_standard_webhooks_computes() -> None:
    """The example that the published libraries of Standard Webhooks are tested with."""
    assert signed()["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert verify_webhook(SECRET, signed(), BODY, now=AT) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1," + base64.b64encode(b"0" * 32).decode()},
        {"webhook-signature": signed()["webhook-signature"].replace("v1,", "v0,")},
        {"webhook-signature": "v1,ü"},
    ],
)
def test_a_forged_or_missing_part_is_refused(change: dict[str, str]) -> None:
    """No header can be changed, left out, or given another version."""
    with pytest.raises(Refused, match="missing or wrong"):
        verify_webhook(SECRET, {**signed(), **change}, BODY, now=AT)


@given(st.binary(max_size=200), st.integers(0, 10**9))
def test_any_other_body_or_secret_is_refused(body: bytes, number: int) -> None:
    """One changed byte of the body, or another secret, is enough."""
    headers = signed()
    if body != BODY:
        with pytest.raises(Refused):
            verify_webhook(SECRET, headers, body, now=AT)
    with pytest.raises(Refused):
        verify_webhook(f"another secret {number:012}", headers, BODY, now=AT)


@pytest.mark.parametrize(
    ("away", "taken"), [(-301, False), (-300, True), (300, True), (301, False)]
)
def test_a_replay_is_refused(away: int, taken: bool) -> None:
    """What is older than five minutes, or from that far in the future, is refused though signed."""
    if taken:
        verify_webhook(SECRET, signed(), BODY, now=AT + away)
    else:
        with pytest.raises(Refused, match="replay"):
            verify_webhook(SECRET, signed(), BODY, now=AT + away)


def test_a_secret_can_be_changed_without_losing_a_notice() -> None:
    """A receiver that knows the old and the new secret takes both; header names in any case."""
    new = "whsec_" + base64.b64encode(b"n" * 24).decode()
    for secret in (SECRET, new):
        headers = {name.title(): value for name, value in signed(secret).items()}
        assert verify_webhook([new, SECRET], headers, BODY, now=AT)


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_c2hvcnQ=", "whsec_$$$"])
def test_a_secret_that_protects_nothing_is_refused(secret: str) -> None:
    """Neither sender nor receiver works with a secret that can be guessed."""
    with pytest.raises(UnmetNeed):
        signed(secret)
    with pytest.raises(UnmetNeed):
        verify_webhook(secret, signed(), BODY, now=AT)


def test_an_id_is_the_same_for_the_same_key_only() -> None:
    """A receiver recognises a repeat by the id, which never holds the separator."""
    ids: list[Any] = [webhook_id(key) for key in ("a.b", "a.b", "a")]
    assert ids[0] == ids[1] != ids[2]
    assert all("." not in one for one in ids)
