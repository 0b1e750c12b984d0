"""Opening a client: what is looked at before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from backbeat.addresses import AddressRules
from backbeat.errors import Refused
from backbeat.inference import connect
from backbeat.inference.address import parse_address
from backbeat.inference.connecting import carrier

ONE = AddressRules.of(["http://127.0.0.1:8080", "https://issuer.example.com"])


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("kserve-v1+http://127.0.0.1:8081/v1/models/m", {}),
        ("kserve-v1+http://169.254.169.254/v1/models/m", {}),
        ("torchserve+http://127.0.0.1:8080/predictions/m?management=http://10.0.0.1:8081", {}),
        (
            "kserve-v1+http://127.0.0.1:8080/v1/models/m",
            {"token_url": "https://other.example.com/t", "client_id": "a", "client_secret": "s"},
        ),
    ],
)
def test_what_is_not_allowed_is_refused_before_a_carrier_is_made(
    address: str, secrets: Mapping[str, str]
) -> None:
    """The model's own address, one that it names, and the issuer of our tokens."""
    made: list[Any] = []
    with pytest.raises(Refused) as caught:
        carrier(parse_address(address), secrets, lambda *_, **given: made.append(given), rules=ONE)
    assert not made
    assert not caught.value.retryable


def test_the_environments_list_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What whoever runs the platform has set holds for every client that is opened by `connect`."""
    connect("kserve-v1+http://127.0.0.1:8081/v1/models/m")
    monkeypatch.setenv("BACKBEAT_ALLOWED_ADDRESSES", "http://127.0.0.1:8080")
    connect("kserve-v1+http://127.0.0.1:8080/v1/models/m")
    with pytest.raises(Refused, match="not among the addresses"):
        connect("kserve-v1+http://127.0.0.1:8081/v1/models/m")
