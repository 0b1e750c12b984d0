"""What Apprise is given, and what is said where it cannot send."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from backbeat.errors import InvalidData, UnmetNeed, Unreachable
from backbeat.notify import Notice
from backbeat.notify.by_apprise import AppriseChannel
from backbeat.notify.settings import ApprisePlan
from backbeat.testing import SmtpServer

PLAN = ApprisePlan(kind="apprise", credentials="mail")


def channel(url: str) -> AppriseChannel:
    """A channel whose credentials hold a URL."""
    return AppriseChannel(PLAN, lambda _: {"url": url} if url else {})


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("", UnmetNeed),
        ("nonsense://gate:letmein-please@host", InvalidData),
        ("letmein-please", InvalidData),
        ("mailto://gate:letmein-please@127.0.0.1:1?from=a@b.example&mode=insecure", InvalidData),
    ],
)
def test_a_wrong_url_is_an_error_that_shows_none_of_it(
    url: str, kind: type[Exception], notice: Callable[..., Notice], caplog: pytest.LogCaptureFixture
) -> None:
    """Missing, unknown, or without a place for a person: said without the password."""
    with caplog.at_level(logging.DEBUG), pytest.raises(kind) as caught:
        channel(url).send(notice(), "ana@bank.example")
    assert "letmein" not in f"{caught.value}{caplog.text}"


def test_a_server_that_does_not_take_it_is_a_retryable_error(
    notice: Callable[..., Notice], smtp: SmtpServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Apprise says no more than that it failed; neither do we, nor does its log."""
    smtp.failing = 1
    url = f"mailto://gate:letmein-please@127.0.0.1:{smtp.port}?from=a@b.example&to=c@d.example&mode=insecure"
    with caplog.at_level(logging.DEBUG), pytest.raises(Unreachable):
        channel(url).send(notice(), "")
    assert "letmein" not in caplog.text
    channel(url).send(notice(), "")
    assert [letter.recipients for letter in smtp.letters] == [("c@d.example",)]


def test_an_address_cannot_become_a_second_recipient(
    notice: Callable[..., Notice], smtp: SmtpServer
) -> None:
    """Whatever stands in a person's address, the letter goes to nobody else."""
    url = f"mailto://gate:pw@127.0.0.1:{smtp.port}?from=a@b.example&mode=insecure&to={{to}}"
    for address in (
        "ana@bank.example&bcc=eve@evil.example",
        "ana@bank.example?cc=eve@evil.example",
    ):
        try:
            channel(url).send(notice(), address)
        except (InvalidData, Unreachable):
            continue
    to: list[Any] = [one for letter in smtp.letters for one in letter.recipients]
    assert "eve@evil.example" not in to
