"""Which channels a notice goes to, and what settings are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import NotFound, UnmetNeed
from backbeat.notify import Channels, Notice, read_settings
from backbeat.notify.channels import Delivery
from backbeat.wiring import from_settings

Build = Callable[..., Notice]
SETTINGS: dict[str, Any] = {
    "channels": {
        "hook": {"kind": "webhook", "url": "https://hooks.example/s3cret", "credentials": "hook"},
        "mail": {"kind": "apprise", "credentials": "mail"},
        "pager": {"kind": "orchestrator"},
    },
    "routes": [
        {"topics": ["signoff.*"], "to": ["hook", "mail"]},
        {"topics": ["signoff.escalated"], "to": ["mail", "pager"]},
    ],
    "people": {"ana": {"mail": "ana@bank.example"}, "ben": {"mail": "ben@bank.example"}},
}


def channels(**change: Any) -> Channels:
    """The channels of the settings above."""
    return Channels(read_settings({**SETTINGS, **change}), lambda _: {})


def ways(notice: Notice) -> list[tuple[str, str]]:
    """Where it goes."""
    return [(one.channel, one.person) for one in channels().deliveries(notice)]


def test_a_route_chooses_channels_by_topic(notice: Build) -> None:
    """Several routes add up, once each; a topic without a route goes nowhere."""
    assert ways(notice(to=())) == [("hook", ""), ("mail", "")]
    assert ways(notice(topic="signoff.escalated", to=())) == [
        ("hook", ""),
        ("mail", ""),
        ("pager", ""),
    ]
    assert ways(notice(topic="drift.alert", to=())) == []


def test_people_get_it_at_their_address_and_channels_by_name(notice: Build) -> None:
    """Who has an address in a channel gets it there; a channel may be named beside its routes."""
    assert channels().deliveries(notice(to=["ana", "ben"]))[1:] == [
        Delivery("mail", "ana", "ana@bank.example"),
        Delivery("mail", "ben", "ben@bank.example"),
    ]
    assert ways(notice(to=["ana", "mail"])) == [("hook", ""), ("mail", "ana"), ("mail", "")]
    assert ways(notice(topic="drift.alert", to=["pager"])) == [("pager", "")]


def test_who_cannot_be_reached_is_named(notice: Build) -> None:
    """A name that nobody knows, and a person whose channel is not on the way, are not lost."""
    assert channels().unreached(notice(to=["ana", "zoe"])) == ["zoe"]
    assert channels().unreached(notice(topic="drift.alert", to=["ana"])) == ["ana"]


def test_a_preview_shows_every_channel_and_sends_nothing(notice: Build) -> None:
    """What each would send and to whom, without the webhook's path; what cannot be is said."""
    shown = {one["channel"]: one for one in channels().preview(notice())}
    assert (shown["mail"]["routed"], shown["mail"]["people"]) == (True, ["ana"])
    assert shown["mail"]["content"]["title"] == "Promote churn_model version 7?"
    assert shown["hook"]["content"]["body"] == notice().model_dump(mode="json")
    assert shown["pager"]["routed"] is False
    assert "s3cret" not in json.dumps(shown)
    inside = {"hook": {"kind": "webhook", "url": "http://10.0.0.1/x", "credentials": "hook"}}
    (wrong,) = channels(channels=inside, routes=[], people={}).preview(notice())
    assert "would show the notice to the network" in wrong["error"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": {"mail": {"kind": "carrier-pigeon"}}}, "channels.mail"),
        ({"channels": {"mail": {"kind": "apprise", "url": "mailto://a:b@c"}}}, "channels.mail"),
        ({"channels": {"Mail!": {"kind": "orchestrator"}}}, "channels.Mail!"),
        ({"routes": [{"topics": ["*"], "to": ["fax"]}]}, "no channel 'fax'"),
        ({"people": {"ana": {"fax": "1"}}}, "no channel 'fax'"),
        ({"people": {"mail": {"mail": "a@b"}}}, "a person and a channel"),
        ({"people": {"ana": {"mail": "ana@bank.example\r\nBcc: x"}}}, "people.ana.mail"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_settings_are_named_without_their_values(change: dict[str, Any], said: str) -> None:
    """A wrong setting, a channel that does not exist, a secret where none belongs."""
    with pytest.raises(UnmetNeed) as caught:
        read_settings({**SETTINGS, **change})
    assert said in caught.value.message
    assert "mailto://" not in str(caught.value)
    assert "Bcc" not in str(caught.value)


def test_settings_are_json_or_a_file_with_it(tmp_path: Path) -> None:
    """The text, the path, or as it is: the same settings."""
    path = tmp_path / "notify.json"
    path.write_text(json.dumps(SETTINGS))
    assert read_settings(json.dumps(SETTINGS)) == read_settings(path) == read_settings(SETTINGS)
    for wrong in ("{no json", str(tmp_path / "missing.json")):
        with pytest.raises(UnmetNeed, match="cannot be read"):
            read_settings(wrong)


def test_a_platform_takes_them_from_its_setting(tmp_path: Path) -> None:
    """`notify` is one of the platform's settings; its sinks say what this process delivers."""
    plain = from_settings({"folder": str(tmp_path)})
    assert set(plain.sinks) == {"openlineage"}
    told = from_settings({"folder": str(tmp_path), "notify": json.dumps(SETTINGS)})
    assert set(told.sinks) == {"openlineage", "notify", "notify.hook", "notify.mail"}


def test_a_process_without_a_channels_library_leaves_its_notices_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker with the core alone serves webhooks, and puts nobody's letters off."""
    monkeypatch.setattr("backbeat.notify.channels.find_spec", lambda _: None)
    assert channels().served() == ["hook"]


def test_an_unknown_channel_says_which_there_are() -> None:
    """A wrong name is answered with the right ones."""
    with pytest.raises(NotFound, match="no channel 'fax'") as caught:
        channels().channel("fax")
    assert "hook, mail, pager" in caught.value.hint
