"""Payloads that nobody foresaw, and words that deceive, in what Slack shows."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backbeat.errors import Refused
from backbeat.notify import Notice
from backbeat.notify.slack.clicks import believed, pressed, read_metadata, refused
from backbeat.notify.slack.form import answers_of, outcome_view, reason_of, vote_view
from backbeat.notify.slack.message import blocks, closed_blocks
from backbeat.testing.slack_server import _wrong_blocks

KEY = "a button key of enough letters"
leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
anything = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "user": anything | st.just({"id": "U1", "team_id": "T1"}),
        "team": anything | st.just({"id": "T1"}),
        "actions": anything | st.just([{"action_id": "backbeat_approve", "value": "v1.e30.e30"}]),
    },
)
words = st.one_of(
    st.text(max_size=400),
    st.sampled_from(
        [
            "<!channel>",
            "<script>x</script>",
            "a\u202eb",
            "[x](https://evil.example)",
            "x" * 9000,
            "",
        ]
    ),
)
field_types = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 1, "maximum": 5},
        {"type": "number"},
        {"type": "boolean"},
    ]
)


@given(payloads, anything)
def test_no_payload_is_believed_that_we_did_not_sign(payload: dict[str, Any], signed: Any) -> None:
    """Whatever comes in, it is refused, with a record of it, and nothing else happens."""
    try:
        believed(payload, signed, team="T1", key=KEY, knows=lambda _: True, now=0)
    except Refused as refusal:
        told = refused(payload, signed, refusal.message, key=KEY)
        assert told.request_id == ""
    else:
        raise AssertionError("it was believed")
    action = pressed(payload)
    assert action is None or action["action_id"] == "backbeat_approve"


@given(anything, anything)
def test_no_state_of_a_modal_breaks_the_desk(metadata: Any, values: Any) -> None:
    """Answers of another shape are no answers."""
    read_metadata(metadata)
    read_metadata(json.dumps(metadata))
    form = {
        "properties": {"a": {"type": "array", "items": {"enum": ["x"]}}, "n": {"type": "number"}}
    }
    given_values = values if isinstance(values, dict) else {}
    assert set(answers_of(form, given_values)) <= {"a", "n"}
    assert isinstance(reason_of(given_values), str)


@settings(deadline=None)
@given(words, words, st.lists(words, min_size=1, max_size=5), field_types, words)
def test_no_word_of_a_form_is_obeyed_in_a_modal(
    title: str, description: str, choices: list[str], kind: dict[str, Any], outcome: str
) -> None:
    """Titles, hints, choices and outcomes are plain text within Slack's limits."""
    form = {
        "properties": {
            "f": {**kind, "title": title, "description": description},
            "c": {"type": "string", "enum": choices},
        }
    }
    view = vote_view("approve", form, metadata="m", request_id="so-1")
    shown = [view, outcome_view("Sign-off", outcome or "-")]
    assert [_wrong_blocks(one["blocks"], most=100) for one in shown] == ["", ""]
    for text in _texts(shown):
        assert not set("<>@[]`|") & set(text)
        assert all(unicodedata.category(letter)[0] != "C" or letter == "\n" for letter in text)
    assert "mrkdwn" not in json.dumps(shown)


@settings(deadline=None)
@given(words, words, words, st.integers(0, 2000))
def test_no_notice_is_more_than_slack_takes(subject: str, text: str, value: str, ands: int) -> None:
    """Whatever the words, also thousands of letters that are sent as five, every block is valid."""
    notice = Notice(
        topic="signoff.requested",
        key="k",
        subject=subject + "&" * ands,
        text=text + "& " * ands,
        facts=({"name": value, "value": "&" * ands},) * 30,
        link="https://gate.bank.example/" + "x" * 900,
        request_id="so-1",
        evidence_digest="sha256:" + "a" * 64,
    )
    made = blocks(notice, key=KEY, team="T1", until=0)
    assert _wrong_blocks(made, most=50) == ""
    assert _wrong_blocks(closed_blocks(notice.subject, notice.text), most=50) == ""


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "plain_text" else []
        return own + [one for part in value.values() for one in _texts(part)]
    return [one for part in value for one in _texts(part)] if isinstance(value, list) else []
