from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor
from backbeat.audit import SealedEntry, leaf_hash, opens, seal
from backbeat.canonical import canonical_bytes
from backbeat.ports import AuditFact

GOLDEN = Path(__file__).parent / "entry_v1.json"
AT = datetime(2026, 11, 22, 2, 0, 0, 7, tzinfo=UTC)
FACT = AuditFact(
    action="signoff.vote",
    outcome="refused",
    actor=Actor(id="ana@example.com", method="cli"),
    subject={"request_id": "so-1", "about": {"model": "flights", "version": "3"}},
    facts={"evidence": "sha256:ab", "choice": "approve", "ratio": 0.1, "count": 2},
    personal={"reason": "I know Bén"},
)


@pytest.fixture
def golden() -> dict[str, Any]:
    """An entry as version 0.1.0 wrote it: its bytes, its hash, its erasable rows."""
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


def _value(entry: SealedEntry, field: str) -> tuple[str, Any, bytes]:
    body = json.loads(entry.body)
    commitment = body["actor"]["commitment"] if field == "actor" else body["personal"][field]
    [(value, salt)] = [(value, salt) for name, value, salt in entry.private if name == field]
    return commitment, json.loads(value), salt


def test_the_format_is_frozen(golden: dict[str, Any]) -> None:
    """The same fact gives the golden bytes today, but for what is random in every entry."""
    frozen = json.loads(golden["body"])
    entry = seal(FACT, at=AT)
    again = json.loads(entry.body)
    again["id"] = frozen["id"]
    again["actor"]["commitment"] = frozen["actor"]["commitment"]
    again["personal"]["reason"] = frozen["personal"]["reason"]
    assert canonical_bytes(again) == golden["body"].encode()


def test_the_golden_bytes_still_have_their_hash(golden: dict[str, Any]) -> None:
    """A log that was written by the first release verifies for ever (RFC 6962, section 2.1)."""
    body = golden["body"].encode()
    assert leaf_hash(body).hex() == golden["leaf"]
    assert hashlib.sha256(b"\x00" + body).hexdigest() == golden["leaf"]


def test_the_golden_commitments_still_open(golden: dict[str, Any]) -> None:
    """Value and salt from the erasable rows are shown to be what was committed to."""
    body = json.loads(golden["body"])
    commitments = {"actor": body["actor"]["commitment"], **body["personal"]}
    assert [row["field"] for row in golden["private"]] == ["actor", "reason"]
    for row in golden["private"]:
        commitment, salt = commitments[row["field"]], bytes.fromhex(row["salt"])
        assert opens(commitment, field=row["field"], value=json.loads(row["value"]), salt=salt)


def test_a_commitment_opens_with_its_salt_only() -> None:
    """Another salt, another value or another field does not open it."""
    entry = seal(FACT, at=AT)
    commitment, value, salt = _value(entry, "reason")
    assert opens(commitment, field="reason", value=value, salt=salt)
    assert not opens(commitment, field="reason", value=value, salt=bytes(32))
    assert not opens(commitment, field="reason", value="another", salt=salt)
    assert not opens(commitment, field="actor", value=value, salt=salt)


def test_the_same_person_is_not_recognised_across_entries() -> None:
    """Salts are fresh: two entries by one actor share no commitment and no id."""
    first, second = (json.loads(seal(FACT, at=AT).body) for _ in range(2))
    assert first["actor"]["commitment"] != second["actor"]["commitment"]
    assert first["id"] != second["id"]


def test_ids_sort_by_time() -> None:
    """A later entry has the greater id, and every id is 32 hex digits."""
    ids = [seal(FACT, at=AT + timedelta(milliseconds=number)).id for number in range(20)]
    assert ids == sorted(ids)
    assert {len(bytes.fromhex(found)) for found in ids} == {16}


def test_nothing_personal_is_in_the_bytes() -> None:
    """Neither the actor's name nor the reason can be read in the log; the method can."""
    body = seal(FACT, at=AT).body
    assert b"ana" not in body
    assert b"know" not in body
    assert json.loads(body)["actor"]["method"] == "cli"


def test_a_system_is_named_in_plain() -> None:
    """A deadline is no person: its name stands in the log and nothing is erasable."""
    fact = AuditFact("signoff.decide", "ok", Actor(id="system:deadline", method="system"), {})
    entry = seal(fact, at=AT)
    assert json.loads(entry.body)["actor"] == {"id": "system:deadline", "method": "system"}
    assert entry.private == ()


@pytest.mark.parametrize("outcome", ["ok", "refused", "failed"])
def test_outcomes_are_told_apart(outcome: str) -> None:
    """What went well, what was refused and what failed are three words in the entry."""
    fact = AuditFact("run.start", outcome, FACT.actor, {})
    assert json.loads(seal(fact, at=AT).body)["outcome"] == outcome


@pytest.mark.parametrize(
    ("outcome", "facts", "message"),
    [
        ("maybe", {}, "an audit outcome is one of"),
        ("ok", {"x": float("nan")}, "no canonical JSON form"),
    ],
)
def test_what_the_format_cannot_say_is_refused(
    outcome: str, facts: dict[str, Any], message: str
) -> None:
    """An unknown outcome or a value without JSON form makes no entry."""
    with pytest.raises(ValueError, match=message):
        seal(AuditFact("a", outcome, FACT.actor, {}, facts), at=AT)
