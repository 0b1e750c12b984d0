from __future__ import annotations

from typing import Any

import pytest

from backbeat import Step
from backbeat.errors import InvalidStep
from backbeat.kinds import KINDS, step_class, step_from_fields, step_from_json
from backbeat.steps import BatchInference


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_step_of_that_kind(kind: str) -> None:
    """The table's names lead to the classes that carry them, with and without the version."""
    cls = step_class(kind)
    assert issubclass(cls, Step)
    assert cls.kind == kind
    assert step_class(kind.partition("/")[0]) is cls


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        (
            {"kind": "drift.chek/v1"},
            "there is no step kind 'drift.chek/v1'",
            "did you mean drift.check/v1?",
        ),
        (
            {"kind": "drift.check/v9"},
            "drift.check has no version 'v9' here, only drift.check/v1",
            "upgrade backbeat, or write the step for the version that is there",
        ),
        (
            {"kind": "signoff.request/v1", "subject": "x", "quorom": 2},
            "signoff.request/v1 does not validate: quorom is no field of it",
            "did you mean quorum?",
        ),
        (
            {"kind": "signoff.request/v1"},
            "signoff.request/v1 does not validate: subject: Field required",
            "see `backbeat schema signoff.request`",
        ),
        (
            {"kind": "signoff.request/v1", "subject": "x", "quorum": "{{ params.quorum }}"},
            (
                "signoff.request/v1 does not validate: quorum: Input should be a valid integer, "
                "unable to parse string as an integer (got '{{ params.quorum }}')"
            ),
            "see `backbeat schema signoff.request`",
        ),
        (
            {"kind": "signoff.request/v1", "subject": "x", "approvers": "['ana', 'ben"},
            (
                "signoff.request/v1 does not validate: approvers: Input should be a valid tuple "
                "(got \"['ana', 'ben\")"
            ),
            "see `backbeat schema signoff.request`",
        ),
    ],
)
def test_what_does_not_validate_is_named_with_a_remedy(
    value: dict[str, Any], message: str, hint: str
) -> None:
    """Unknown kinds, versions and fields, and templates rendered to nonsense, are explained."""
    with pytest.raises(InvalidStep) as caught:
        step_from_json(value)
    assert caught.value.message == message
    assert caught.value.hint == hint


@pytest.mark.parametrize("value", [{}, {"kind": 3}, {"kind": None}])
def test_a_step_needs_a_kind(value: dict[str, Any]) -> None:
    """JSON without a kind says what is missing and which kinds there are."""
    with pytest.raises(InvalidStep, match='needs "kind"') as caught:
        step_from_json(value)
    assert "drift.check/v1" in caught.value.hint


@pytest.mark.parametrize("text", ['["ana", "ben"]', "['ana', 'ben']", "('ana', 'ben')"])
def test_a_list_may_come_as_text(text: str) -> None:
    """What a template engine renders, JSON or Python's own notation, is read as the list it is."""
    fields = {"subject": "x", "approvers": text, "about": "{'version': 3}", "quorum": "2"}
    step = step_from_fields(step_class("signoff.request"), fields)
    assert step == step_from_json(
        {
            "kind": "signoff.request/v1",
            "subject": "x",
            "approvers": ["ana", "ben"],
            "about": {"version": "3"},
            "quorum": 2,
        }
    )


def test_text_that_fits_its_field_stays_text() -> None:
    """A string field keeps a string that happens to look like JSON."""
    step = step_from_fields(step_class("signoff.request"), {"subject": "[1, 2]"})
    assert step.to_json()["subject"] == "[1, 2]"


def test_only_the_first_five_problems_are_told() -> None:
    """A step with many problems gives a message that a person can read."""
    with pytest.raises(InvalidStep) as caught:
        step_from_json({"kind": "lineage.log/v1", **{f"unknown_{n}": n for n in range(50)}})
    assert caught.value.message.count("is no field of it") == 5


def test_a_long_wrong_value_is_shortened() -> None:
    """The message shows the beginning of a wrong value, not all of it."""
    with pytest.raises(InvalidStep) as caught:
        step_from_json({"kind": "signoff.request/v1", "subject": "x", "quorum": "9" * 5000})
    assert len(caught.value.message) < 400


def test_a_wrong_value_is_shown_without_its_secrets() -> None:
    """An address with a password in it is refused, and the password is nobody's to read."""
    fields = {
        "model": "oip+http://ana:hidden@host:8000/v2/models/m?token=abc123",
        "data": "rows.parquet",
        "output_key": "scores",
        "key": ["id"],
    }
    with pytest.raises(InvalidStep) as refused:
        step_from_fields(BatchInference, fields)
    assert "hidden" not in str(refused.value)
    assert "abc123" not in str(refused.value)
