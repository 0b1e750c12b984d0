from __future__ import annotations

import inspect
import pickle

import pytest

from backbeat import errors
from backbeat.errors import BackbeatError, FinalError, LeaseHeld, Refused, RetryableError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_the_public_names_are_sorted_and_all_there_is() -> None:
    """`__all__` is sorted and holds every error class of the module."""
    found = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and name[0] != "_"
    }
    found.discard("Any")
    assert errors.__all__ == sorted(errors.__all__)
    assert set(errors.__all__) == found


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_drawn_in_the_tree_under_its_parent(cls: type[BackbeatError]) -> None:
    """The module's drawing names every class, indented one level deeper than its parent."""
    lines = (errors.__doc__ or "").splitlines()
    at = {
        parts[0]: index
        for index, line in enumerate(lines)
        if (parts := line.strip(" │├└─").split()) and parts[0] in errors.__all__
    }

    def depth(name: str) -> int:
        return lines[at[name]].index(name)

    assert cls.__name__ in at
    if cls is not BackbeatError:
        parent = cls.__bases__[0].__name__
        assert depth(cls.__name__) == depth(parent) + 4
        assert at[cls.__name__] > at[parent]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_says_whether_a_retry_helps(cls: type[BackbeatError]) -> None:
    """The class decides about retries, and the text says so in words."""
    assert cls.retryable is issubclass(cls, RetryableError)
    assert not (issubclass(cls, RetryableError) and issubclass(cls, FinalError))
    sentence = "(a retry can help)" if cls.retryable else "(a retry will not help)"
    assert str(cls("It broke", hint="mend it")) == f"It broke Hint: mend it {sentence}"


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickling(cls: type[BackbeatError]) -> None:
    """A worker's exception reaches its parent process with its hint and its waiting time."""
    sent = pickle.dumps(cls("It broke", hint="mend it", retry_after=7.0))
    back = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert type(back) is cls
    assert (back.message, back.hint, back.retry_after) == ("It broke", "mend it", 7.0)


def test_the_waiting_time_is_in_the_text() -> None:
    """Where it is known, the text says after how long a retry makes sense."""
    assert str(LeaseHeld("Busy", retry_after=41.6)) == "Busy (a retry can help after 42 s)"


def test_an_error_as_json_is_flat_and_complete() -> None:
    """The JSON of the ledger and of `--json` holds all that the error says."""
    assert Refused("No", hint="ask").as_json() == {
        "error": "Refused",
        "message": "No",
        "hint": "ask",
        "retryable": False,
        "retry_after": None,
    }
