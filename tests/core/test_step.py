from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from backbeat import Blocked, DataRef, Done, Outcome, Step, Waiting
from backbeat.step import StepContext, outcome_from_json


class Example(Step):
    """A step with a default, an optional list and a version."""

    kind: ClassVar[str] = "test.example/v1"

    version: str
    floor: float = 0.1
    names: tuple[str, ...] = ()

    def perform(self, ctx: StepContext) -> Outcome:
        return Done()


class Grown(Example):
    """The same kind, one release later, with a field more."""

    added: int = 5


def test_a_step_is_written_without_its_defaults() -> None:
    """The JSON holds the kind and what differs from the defaults."""
    assert Example(version="3", floor=0.1).to_json() == {"kind": "test.example/v1", "version": "3"}


def test_a_field_added_later_changes_no_digest() -> None:
    """Work recorded by an older release is recognised by a newer one."""
    assert Grown(version="3").digest() == Example(version="3").digest()
    assert Grown(version="3", added=6).digest() != Example(version="3").digest()


def test_a_number_for_a_version_is_the_same_step() -> None:
    """A template engine may render a version as a number: the digest is the same."""
    assert Example.model_validate({"version": 3}).digest() == Example(version="3").digest()


def test_a_step_cannot_be_changed() -> None:
    """A step is data: what was hashed is what is performed."""
    with pytest.raises(ValidationError):
        Example(version="3").version = "4"  # type: ignore[misc]


@pytest.mark.parametrize("floor", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_say_are_refused(floor: float) -> None:
    """NaN and infinities do not validate."""
    with pytest.raises(ValidationError):
        Example(version="3", floor=floor)


@pytest.mark.parametrize(
    "outcome",
    [
        Done(value={"verdict": "drifted"}, outputs=(DataRef(uri="a", digest="sha256:0"),)),
        Waiting(request_id="so-1", until=datetime(2026, 11, 22, tzinfo=UTC)),
        Blocked(reason="broken", evidence={"rows": 0}),
        Blocked(reason="broken", inputs=(DataRef(uri="a", digest="sha256:0", rows=3),)),
    ],
)
def test_an_outcome_reads_back_from_its_json(outcome: Any) -> None:
    """What the ledger keeps becomes the same outcome again."""
    assert outcome_from_json(outcome.model_dump(mode="json")) == outcome


def test_a_gate_of_an_earlier_release_reads_back() -> None:
    """One that was recorded before gates said what they had read."""
    kept = {"status": "blocked", "reason": "broken", "evidence": {"rows": 0}}
    assert outcome_from_json(kept) == Blocked(reason="broken", evidence={"rows": 0})


def test_an_outcome_of_another_release_is_not_guessed() -> None:
    """A status that does not exist is refused rather than read as something else."""
    with pytest.raises(ValidationError):
        outcome_from_json({"status": "maybe"})
