"""Words of people and data in every field, and what each channel makes of them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backbeat.notify import Channels, Notice, read_settings
from backbeat.notify.plain import line, lines

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!channel> <@U024BE7LH> <https://evil.example|the report>",
    "[the report](https://evil.example) ![x](javascript:alert(1))",
    "approve\u202etcejer\u202c and \u2066hidden\u2069",
    "zero\u200bwidth\u2060joined\ufeff",
    "\x1b[2J\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "subject\r\nBcc: all@bank.example\r\n\r\n<b>body</b>",
    "e" + "\u0301" * 500,
    "x" * 100_000,
    "\ud800 alone",
    "password=hunter2hunter2 https://ana:letmein@host/",
    "@here @everyone @channel",
    "{{ 7*7 }} ${jndi:ldap://evil.example/a} {to}",
    "&lt;script&gt;",
    "\x00",
]
anything = st.one_of(st.sampled_from(ATTACKS), st.text(max_size=300))
FORBIDDEN = re.compile(r"[<>@\[\]`|]")


def obeyed(text: str) -> list[str]:
    """Letters that a terminal or a reader's eye would obey."""
    return [one for one in text if unicodedata.category(one)[0] == "C" and one != "\n"]


@given(anything, st.integers(1, 400))
@example("x" * 100_000, 80)
def test_a_line_is_one_line_short_and_obeyed_by_nobody(text: str, longest: int) -> None:
    """No control, no direction override, no markup, no link, never longer than said."""
    found = line(text, longest)
    assert len(found) <= longest
    assert "\n" not in found
    assert not obeyed(found)
    assert not FORBIDDEN.search(found)
    assert "://" not in found
    assert line(found, longest) == found
    paragraph = lines(f"{text}\n{text}", longest)
    assert len(paragraph) <= longest
    assert not obeyed(paragraph)
    assert not FORBIDDEN.search(paragraph)


def test_what_people_write_stays_readable() -> None:
    """Names of models, accents, money and other scripts pass as they are."""
    for text in ("churn_model: 93.1 % & rising, 5 €", "Zoë & Þór, 李, किरण, مرحبا"):
        assert line(text, 200) == text
    assert lines("one\n\n two  three ", 200) == "one\n\ntwo three"


def test_secrets_do_not_pass() -> None:
    """A credential in somebody's words is not sent to a channel."""
    found = line("postgres://ana:letmein@host/db password=hunter2 Bearer abcdefghijk", 500)
    assert not {"letmein", "hunter2", "abcdefghijk"} & set(re.split(r"\W+", found))


@pytest.mark.parametrize("field", ["topic", "key", "link", "request_id", "evidence_digest"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_no_text_is_refused_where_it_is_not_its_form(field: str, attack: str) -> None:
    """Keys, digests and links are the platform's own; another's words in them are an error."""
    known = {"topic": "signoff.requested", "key": "k", "subject": "s"}
    with pytest.raises(ValidationError):
        Notice.model_validate({**known, field: attack})


CHANNELS = Channels(
    read_settings(
        {
            "channels": {
                "hook": {
                    "kind": "webhook",
                    "url": "https://hooks.example/x",
                    "credentials": "hook",
                },
                "mail": {"kind": "apprise", "credentials": "mail"},
                "pager": {"kind": "orchestrator"},
                "slack": {"kind": "slack", "team": "T1", "channel": "C1", "credentials": "slack"},
            },
            "routes": [{"topics": ["*"], "to": ["hook", "mail", "pager", "slack"]}],
        }
    ),
    lambda _: {"secret": "s" * 24, "button_key": "b" * 24, "bot_token": "xoxb-1", "url": "json://"},
    notifiers={"pager": lambda _: None},
)


def texts(value: Any) -> list[str]:
    """Every text in a piece of JSON, names included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [one for pair in value.items() for part in pair for one in texts(part)]
    return (
        [one for part in value for one in texts(part)] if isinstance(value, (list, tuple)) else []
    )


@settings(max_examples=150, deadline=None)
@given(anything, anything, anything, anything)
def test_no_field_is_obeyed_in_any_channels_output(
    subject: str, text: str, name: str, value: str
) -> None:
    """Whatever stands in the fields, what each channel would send holds nothing that is obeyed."""
    notice = Notice.model_validate(
        {
            "topic": "signoff.requested",
            "key": "k1",
            "subject": subject,
            "text": text,
            "facts": [{"name": name, "value": value}],
            "request_id": "r1",
            "evidence_digest": "sha256:1",
        }
    )
    for shown in CHANNELS.preview(notice):
        assert "error" not in shown, shown
        content = {k: v for k, v in shown["content"].items() if k not in {"url", "headers"}}
        json.dumps(content).encode()
        for one in texts(content):
            assert not obeyed(one)
            assert not FORBIDDEN.search(one)
            assert "://" not in one


class Tags(HTMLParser):
    """Which elements a page has, and with which attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_field_is_obeyed_in_a_real_letter(attack: str, smtp: Any) -> None:
    """The letter as it arrives: one subject, no header more, and no markup of the attacker's."""
    from backbeat.notify.by_apprise import AppriseChannel
    from backbeat.notify.settings import ApprisePlan
    from backbeat.wiring.credentials import credentials_from_environment

    notice = Notice.model_validate(
        {
            "topic": "a",
            "key": "k1",
            "subject": attack,
            "text": attack,
            "facts": [{"name": attack, "value": attack}],
        }
    )
    channel = AppriseChannel(
        ApprisePlan(kind="apprise", credentials="mail"), credentials_from_environment
    )
    channel.send(notice, "ana@bank.example")
    (letter,) = smtp.letters
    assert letter.recipients == ("ana@bank.example",)
    message = message_from_bytes(letter.raw, policy=policy.default)
    assert message["Bcc"] is None
    assert message.get_all("Subject") == [notice.subject.strip()]
    for part in message.walk():
        if part.get_content_type() == "text/html":
            tags = Tags()
            tags.feed(part.get_content())
            assert not tags.seen & {"script", "img", "a", "iframe", "onerror", "href", "src", "b"}
        elif part.get_content_maintype() == "text":
            assert not obeyed(part.get_content().replace("\r", ""))
