"""Everything about a sign-off can be done from a shell, with one JSON document for a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import embedded
from backbeat.cli.session import operating_system_user
from backbeat.signoff import read_request

Make = Callable[..., Any]
ME = operating_system_user().id
ASKING: dict[str, Any] = {
    "subject": "Ship [red]it[/red]? \x1b[2J",
    "about": {"version": "7"},
    "form": {"properties": {"limit": {"type": "number"}}, "required": ["limit"]},
    "rules": {
        "stages": [{"name": "risk", "quorum": 2, "of": ["group:risk"]}],
        "within": "PT48H",
        "reminders": ["PT4H"],
        "delegation": True,
        "break_glass": {"by": ["cto"]},
    },
}
PEOPLE = {"groups": {"risk": ["ben", "cleo"]}, "names": {"ben": "Benedikt Huber"}}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a JSON file."""

    def make(document: Any, name: str = "document.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return make


@pytest.fixture
def asked(backbeat: Make, write: Make) -> str:
    """The id of a request of two people of a group that the ledger knows."""
    assert backbeat("signoff", "people", "--keep", write(PEOPLE)).code == 0
    found: str = backbeat("signoff", "request", write(ASKING), "--json").json["request"][
        "request_id"
    ]
    return found


def test_the_same_file_is_the_same_request(backbeat: Make, asked: str, write: Make) -> None:
    """Asked again by the same person, nothing is asked twice."""
    again = backbeat("signoff", "request", write(ASKING), "--json").json
    assert again["request"]["request_id"] == asked
    assert len(backbeat("signoff", "list", "--json").json) == 1
    assert again["missing"] == 2
    assert again["next_due"] is not None


def test_a_preview_writes_nothing(backbeat: Make, folder: Path, write: Make) -> None:
    """What people would see, and who would be told when."""
    previewed = backbeat("signoff", "preview", write(ASKING), "--json").json
    assert [one["key"] for one in previewed["timetable"]] == ["reminder/1"]
    said = backbeat("signoff", "preview", write(ASKING))
    assert "stage 1 risk" in said.out
    assert "\x1b" not in said.out
    assert not folder.exists()


def test_people_vote_with_all_that_a_signature_carries(
    backbeat: Make, asked: str, folder: Path, write: Make
) -> None:
    """Meaning, printed name, answers; and which user has claimed to be whom."""
    filled = write({"limit": 40}, "answers.json")
    words = ["--answers", filled, "--meaning", "reviewed", "--yes", "--delivery", "d-1"]
    for _ in range(2):
        said = backbeat("signoff", "vote", asked, "approve", "--as", "ben", *words)
        assert said.code == 0
        assert "1 of 2 approvals" in said.out
    [vote] = read_request(embedded(folder).ledger, asked).votes
    assert (vote.meaning, vote.printed_name, vote.answers) == (
        "reviewed",
        "Benedikt Huber",
        {"limit": 40},
    )
    assert (vote.actor.id, vote.claimed_by) == ("ben", ME)
    assert "cli (claim)" in backbeat("signoff", "show", asked).out
    done = backbeat("signoff", "vote", asked, "approve", "--as", "cleo", *words, "--json")
    assert done.json["state"] == "approved"


def test_a_delegation_a_retraction_and_an_export(backbeat: Make, asked: str, write: Make) -> None:
    """Each is told, and an auditor sees all of it, refused attempts too."""
    filled = write({"limit": 40}, "answers.json")
    until = ["--until", "2999-01-01"]
    delegated = backbeat("signoff", "delegate", asked, "--as", "cleo", "--to", "zoe", *until)
    assert delegated.code == 0
    refused = backbeat("signoff", "delegate", asked, "--as", "zoe", "--to", "gil", *until)
    assert refused.code == 3
    words = ["approve", "--answers", filled, "--yes"]
    assert backbeat("signoff", "vote", asked, *words, "--as", "zoe").code == 0
    assert backbeat("signoff", "retract", asked, "--as", "zoe", "--reason", "oops").code == 0
    assert backbeat("signoff", "vote", asked, *words, "--as", "stranger").code == 3
    document = backbeat("signoff", "export", asked, "--json").json
    assert [event["kind"] for event in document["events"]] == ["delegated", "vote", "retracted"]
    tried = [(one["action"], one["outcome"], one.get("code")) for one in document["attempts"]]
    assert tried == [
        ("signoff.request", "ok", None),
        ("signoff.delegate", "ok", None),
        ("signoff.delegate", "refused", "not_an_approver"),
        ("signoff.vote", "ok", None),
        ("signoff.retract", "ok", None),
        ("signoff.vote", "refused", "not_an_approver"),
    ]
    assert document["attempts"][5]["actor"] == "stranger"
    read = backbeat("signoff", "export", asked).out
    assert "refused (not_an_approver)" in read
    assert "a claim, not authenticated" in read
    assert "\x1b" not in read


def test_glass_and_withdrawal(backbeat: Make, asked: str) -> None:
    """Who may not is refused; who has asked may withdraw."""
    reason = ["--reason", "the plant is on fire"]
    assert backbeat("signoff", "break-glass", asked, "--as", "ben", *reason).code == 3
    assert backbeat("signoff", "withdraw", asked, "--as", "ben").code == 3
    assert backbeat("signoff", "withdraw", asked, "--json").json["decision"]["by"] == [
        "system:withdrawn",
        ME,
    ]
    assert backbeat("signoff", "break-glass", asked, "--as", "cto", *reason).code == 3


def test_glass_is_broken(backbeat: Make, asked: str) -> None:
    """By whom the rules name."""
    reason = ["--reason", "the plant is on fire"]
    said = backbeat("signoff", "break-glass", asked, "--as", "cto", *reason)
    assert "is approved" in said.out


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"subject": "x", "rules": {"stages": [{"quorums": 2}]}}, "rules.stages.0.quorums"),
        ({"subject": "x", "rules": {"stages": [{"of": ["a"], "quorum": 2}]}}, "1 people"),
        ({"rules": {"stages": [{}]}}, "subject: Field required"),
        (
            {"subject": "x", "rules": {"stages": [{}]}, "deadline": "2020-01-01T00:00:00Z"},
            "comes before all of it can happen",
        ),
        ([], "no sign-off"),
    ],
)
def test_a_wrong_file_is_told_where_it_is_wrong(
    backbeat: Make, write: Make, document: Any, message: str
) -> None:
    """And nothing is asked."""
    said = backbeat("signoff", "request", write(document))
    assert said.code == 6
    assert message in said.err
    assert backbeat("signoff", "list", "--json").json == []


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000])
def test_a_file_that_is_no_json_is_told(backbeat: Make, tmp_path: Path, text: str) -> None:
    """As an error that says so, not as a trace."""
    path = tmp_path / "broken.json"
    path.write_text(text)
    for words in (["request", path], ["people", "--keep", path]):
        said = backbeat("signoff", *words)
        assert said.code == 6
        assert "hint" in said.err
