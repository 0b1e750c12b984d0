from __future__ import annotations

import inspect
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import backbeat.errors
from backbeat import Actor, RunIdentity
from backbeat.errors import BackbeatError, InvalidData, LeaseHeld, Refused
from backbeat.ledger import wire
from backbeat.ports import (
    AuditFact,
    Budget,
    Claim,
    Claimed,
    Ending,
    Event,
    Ledger,
    Message,
    Recorded,
    StreamInfo,
)

AT = datetime(2026, 11, 22, 2, 0, 0, 7, tzinfo=UTC)
ANA = Actor(id="ana", method="cli")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
KINDS = [getattr(backbeat.errors, name) for name in backbeat.errors.__all__]


def _claim(**fields: Any) -> Claim:
    run = RunIdentity(workflow="w", run="r", task="t", actor=ANA, logical_time=AT)
    known = {"key": "k", "kind": "x/v1", "identity": run, "step": {}, "step_digest": "d"}
    known |= {"inputs": {"a": "b"}, "lease_seconds": 60.5, "replay": True}
    known |= {"owner": "h/1/2", "nonce": "n", "messages": [Message("m", "event", {"n": 1})]}
    return Claim(**{**known, **fields})


def test_every_verb_of_the_port_is_carried() -> None:
    """What the port can do, the wire can; `lock` is made of `acquire` and `release`."""
    port = {name for name, _ in inspect.getmembers(Ledger, inspect.isfunction) if name[0] != "_"}
    assert set(wire.VERBS) == port - {"lock"}
    assert list(wire.VERBS) == sorted(wire.VERBS)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("claim", {"claim": _claim()}),
        (
            "deny",
            {"claim": _claim(), "ending": Ending("denied", {"error": "Refused"}, messages=[])},
        ),
        ("heartbeat", {"key": "k", "token": 3, "lease_seconds": 0.5}),
        ("spend", {"budget": Budget("b", 2.0, 0.1), "cost": 1.0, "earned": 0.0}),
        (
            "append",
            {
                "stream": "s",
                "additions": [("voted", {"at": "x"})],
                "category": "c",
                "expected": 1,
                "state": "open",
                "due": AT,
                "audit": [AuditFact("a.b", "ok", ANA, {"s": 1}, {}, {"reason": "é"})],
                "messages": [],
            },
        ),
        ("check", {}),
    ],
)
def test_a_call_arrives_as_it_was_made(verb: wire.Verb, arguments: dict[str, Any]) -> None:
    """The service gets the port's own dataclasses, equal to those of the worker."""
    assert wire.decode_call(verb, wire.encode_call(verb, arguments)) == arguments


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("claim", Claimed(7, AT)),
        ("claim", Recorded({"status": "done", "value": {"n": 1.0}})),
        ("read", [Event(1, "requested", AT, {"a": [1]})]),
        ("due", [StreamInfo("s", "c", "open", 1, AT, AT), StreamInfo("s", "c", "x", 2, None, AT)]),
        ("run", None),
        ("append", 3),
        ("watch", False),
        ("finish", None),
    ],
)
def test_an_answer_arrives_as_it_was_given(verb: wire.Verb, answer: Any) -> None:
    """The worker gets what the port's verb returned, of the very type."""
    found = wire.decode_answer(verb, wire.encode_answer(verb, answer))
    assert found == answer
    assert type(found) is type(answer)


@given(JSON)
def test_any_json_survives(value: Any) -> None:
    """An outcome is read on the other side as it was written, whatever JSON it holds."""
    sent = {"key": "k", "token": 1, "ending": Ending("done", {"value": value}, messages=[])}
    assert wire.decode_call("finish", wire.encode_call("finish", sent)) == sent


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_what_json_cannot_say_is_not_sent(value: object) -> None:
    """NaN never becomes null on the way: it is an error at the worker."""
    with pytest.raises(InvalidData, match="the ledger's finish cannot be sent"):
        wire.encode_call("finish", {"key": "k", "token": 1, "ending": Ending("done", {"x": value})})


def test_a_call_that_is_too_large_is_named_before_it_is_sent() -> None:
    """More than the service takes is refused with where large things belong."""
    ending = Ending("done", {"x": "y" * wire.LARGEST_BODY})
    with pytest.raises(InvalidData, match="larger than 1 MiB") as caught:
        wire.encode_call("finish", {"key": "k", "token": 1, "ending": ending})
    assert "in the store" in caught.value.hint


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"key":"k","token":1,"more":2}'])
def test_what_is_no_call_is_invalid(body: bytes) -> None:
    """A truncated, foreign or newer call says what is wrong with it, without showing its values."""
    with pytest.raises(InvalidData, match="this is no call of the ledger's heartbeat"):
        wire.decode_call("heartbeat", body)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_arrives_as_the_very_class(kind: type[BackbeatError]) -> None:
    """Class, message, hint and retry_after cross the wire, and so does what they mean."""
    sent = kind("it broke: é", hint="mend it", retry_after=2.5)
    found = wire.decode_error(wire.encode_error(sent))
    assert type(found) is kind
    assert found.as_json() == sent.as_json()
    assert 400 <= wire.status_of(sent) < 600


@pytest.mark.parametrize(
    ("kind", "status"),
    [(LeaseHeld, 409), (Refused, 403), (InvalidData, 422), (backbeat.errors.StorageFull, 507)],
)
def test_an_error_has_the_status_that_fits(kind: type[BackbeatError], status: int) -> None:
    """Who sees only HTTP understands it too."""
    assert wire.status_of(kind("x")) == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"3",
        b'{"error":"Any","message":"","hint":"","retry_after":null}',
        b'{"error":"OSError","message":"","hint":"","retry_after":null}',
        b'{"error":["LeaseHeld"],"message":"","hint":"","retry_after":null}',
    ],
)
def test_other_words_are_no_error_of_ours(body: bytes) -> None:
    """A proxy's page, or a name that is no error of backbeat, raises nothing by itself."""
    assert wire.decode_error(body) is None
