from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from backbeat import Actor, RunIdentity


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "step"),
        ({"map_index": 0}, "step[0]"),
        ({"partition": "2013-03-10"}, "step@2013-03-10"),
        ({"map_index": 3, "partition": "a"}, "step[3]@a"),
    ],
)
def test_copies_of_a_task_have_keys_of_their_own(
    attempt: Callable[..., RunIdentity], fields: dict[str, object], expected: str
) -> None:
    """A mapped or partitioned copy is told from its siblings; a plain task has no suffix."""
    assert attempt(**fields).task_key == expected


def test_an_identity_round_trips_through_json(attempt: Callable[..., RunIdentity]) -> None:
    """What the ledger stores reads back as the same identity."""
    identity = attempt(logical_time="2013-03-10T02:00:00Z", partition="2013-03-10", attempt=2)
    assert RunIdentity.model_validate_json(identity.model_dump_json()) == identity


@pytest.mark.parametrize("fields", [{"id": "", "method": "cli"}, {"id": "a", "method": "letter"}])
def test_an_actor_has_a_name_and_a_known_method(fields: dict[str, str]) -> None:
    """Nobody, and doors that do not exist, are no actors."""
    with pytest.raises(ValidationError):
        Actor.model_validate(fields)
