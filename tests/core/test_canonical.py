from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from backbeat.canonical import canonical_bytes, digest

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def test_the_example_of_rfc_8785() -> None:
    """The bytes are those of the RFC's own example (section 3.2.4)."""
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
        "literals": [None, True, False],
    }
    assert (
        canonical_bytes(value)
        == (
            '{"literals":[null,true,false],'
            '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


@given(JSON)
def test_the_bytes_are_json_of_the_same_value(value: Any) -> None:
    """Reading the bytes back gives the value, every number as the double that it is."""
    assert json.loads(canonical_bytes(value), parse_int=float) == value


PLAIN = st.text(st.characters(max_codepoint=127))


@given(st.dictionaries(PLAIN, JSON | st.recursive(PLAIN, st.lists), max_size=5))
def test_the_quick_way_writes_the_same_bytes(value: dict[str, Any]) -> None:
    """Plain text and small integers, which take another way, get the reference's own bytes."""
    assert canonical_bytes(value) == rfc8785.dumps(value)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_the_order_of_keys_does_not_count(value: dict[str, Any]) -> None:
    """Two dicts that are equal have one digest."""
    assert digest(value) == digest(dict(reversed(value.items())))


def test_a_digest_names_its_algorithm() -> None:
    """A digest is `sha256:` and 64 hex digits, the same on every machine."""
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_integers_that_javascript_cannot_hold_become_text() -> None:
    """Beyond 2**53 - 1, an integer keeps every digit as a string, however deep it lies."""
    assert canonical_bytes({"a": [2**53, -(2**60)], "b": True}) == (
        b'{"a":["9007199254740992","-1152921504606846976"],"b":true}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    """NaN, infinities and lone surrogates have no canonical form."""
    with pytest.raises(ValueError, match="no canonical JSON form"):
        canonical_bytes({"value": value})
