"""Which addresses may be connected to."""

from __future__ import annotations

import pytest

from backbeat.addresses import AddressRules, rules_from_environment
from backbeat.errors import InvalidStep, Refused, UnmetNeed

LISTED = AddressRules.of(
    [
        "https://*.models.internal/v2",
        "grpc://triton:8001",
        "http://127.0.0.1:*",
        "*://api.example.com",
        "file:///srv/models",
    ]
)


@pytest.mark.parametrize(
    "url",
    [
        "https://churn.models.internal/v2/models/churn",
        "https://churn.models.internal/v2",
        "oip+https://CHURN.models.internal./v2/models/churn?binary=yes",
        "oip+grpc://triton:8001/churn",
        "http://127.0.0.1:49152/anything",
        "https://api.example.com/v1",
        "http://api.example.com:80/",
        "file:///srv/models/churn",
    ],
)
def test_what_is_on_the_list_is_allowed(url: str) -> None:
    """By scheme, host, port and the beginning of the path."""
    LISTED.require(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://churn.models.internal/v2/models/churn",
        "https://churn.models.internal:8443/v2/models/churn",
        "https://churn.models.internal/v20/models/churn",
        "https://churn.models.internal/v2/../admin",
        "https://churn.models.internal/v2/%2e%2e/admin",
        "https://churn.models.internal/v2/%252e%252e/admin",
        "https://churn.models.internal/v2/..\\admin",
        "https://models.internal.example.org/v2",
        "https://evil.example.org/churn.models.internal/v2",
        "https://churn.models.internal@evil.example.org/v2",
        "grpc://triton:8002/churn",
        "https://api.example.com:8443/",
        "file:///srv/models/../secrets",
        "file:///srv/modelsx",
    ],
)
def test_what_is_not_on_it_is_refused_and_no_secret_is_shown(url: str) -> None:
    """A list is whole: what it does not name is refused, however it is written."""
    with pytest.raises(Refused, match="not among the addresses that are allowed") as caught:
        LISTED.require(url)
    assert not caught.value.retryable
    assert "/v2" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_metadata_of_a_cloud_is_refused_in_every_way_to_write_it(host: str) -> None:
    """Without a list, and beside one that allows any host."""
    for rules in (AddressRules(), AddressRules.of(["*://*:*"])):
        with pytest.raises(Refused, match="link-local or metadata"):
            rules.require(f"http://{host}/latest/meta-data/")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "[::1]", "8.8.8.8", "a.b.c", "beef"])
def test_without_a_list_every_other_address_is_allowed(host: str) -> None:
    """Models on this machine and in private networks are the usual case."""
    AddressRules().require(f"http://{host}:8000/v1/models/m")


def test_a_number_that_the_list_names_is_allowed() -> None:
    """The number itself, and no other one of its network."""
    rules = AddressRules.of(["http://169.254.7.7:8000"])
    rules.require("http://169.254.7.7:8000/m")
    rules.require_ip("169.254.7.7", name="camera")
    with pytest.raises(Refused, match=r"camera leads to 169\.254\.169\.254"):
        rules.require_ip("169.254.169.254", name="camera")


def test_an_empty_list_allows_nothing() -> None:
    """None is no list, and no line is no address."""
    with pytest.raises(Refused):
        AddressRules.of([]).require("http://127.0.0.1/")


@pytest.mark.parametrize("text", ["models.internal", "ftp://host", "https://", "http://h:port"])
def test_a_line_that_is_no_pattern_is_told(text: str) -> None:
    """A list that is misread would allow, or forbid, what nobody wanted."""
    with pytest.raises(UnmetNeed, match="says of no address"):
        AddressRules.of([text])


@pytest.mark.parametrize("url", ["", "m", "http://", "http://h:port/", "models:/m"])
def test_what_is_no_address_is_told(url: str) -> None:
    """And not taken for one that is allowed."""
    with pytest.raises(InvalidStep, match="no address to connect to"):
        AddressRules().require(url)


def test_the_environment_has_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas or spaces stand between its lines; empty is not set."""
    monkeypatch.setenv("BACKBEAT_ALLOWED_ADDRESSES", "http://a, https://b\n")
    rules = rules_from_environment()
    rules.require("http://a/x")
    rules.require("https://b/x")
    with pytest.raises(Refused):
        rules.require("http://b/x")
    monkeypatch.setenv("BACKBEAT_ALLOWED_ADDRESSES", " ")
    rules_from_environment().require("http://b/x")
