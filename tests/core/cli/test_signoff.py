from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import embedded
from backbeat.signoff import read_request

Make = Callable[..., Any]
PROGRAM = "from backbeat.cli.main import main; main()"


@pytest.fixture
def asked(backbeat: Make, asking: Path) -> str:
    """The id of an open request."""
    found: str = backbeat("run", asking, "--run", "r", "--json").json["request_id"]
    return found


def test_a_request_is_listed_and_shown(backbeat: Make, asked: str) -> None:
    """Open requests are listed; what one shows is what its votes are bound to."""
    [listed] = backbeat("signoff", "list", "--state", "open", "--json").json
    assert listed["request"]["request_id"] == asked
    assert backbeat("signoff", "list", "--state", "approved", "--json").json == []
    shown = backbeat("signoff", "show", asked, "--json").json
    assert shown == listed
    assert shown["request"]["evidence"]["better"] is True
    assert shown["evidence_digest"] in backbeat("signoff", "show", asked).out


@pytest.mark.parametrize(
    "command", [["list"], ["show"], ["approve", "--yes", "--reason", "\x1b[1A"]]
)
def test_evidence_cannot_speak_to_the_terminal(
    backbeat: Make, asked: str, command: list[str]
) -> None:
    """Other people's text comes without control codes, and its brackets are no markup."""
    words = command if command == ["list"] else [command[0], asked, *command[1:]]
    out = backbeat("signoff", *words).out
    assert "\x1b" not in out
    assert "\u202e" not in out
    if command[0] != "approve":
        assert "Ship [red]it[/red]? \\x1b[2J" in out


@pytest.mark.parametrize(("choice", "name"), [("approve", "approved"), ("reject", "rejected")])
def test_a_vote_is_bound_to_what_was_seen(
    backbeat: Make, asked: str, folder: Path, choice: str, name: str
) -> None:
    """With the first digits of the digest the vote counts, under the operating system's user."""
    digest = backbeat("signoff", "show", asked, "--json").json["evidence_digest"]
    short = digest.removeprefix("sha256:")[:12]
    said = backbeat("signoff", choice, asked, "--seen", short, "--reason", "seen it", "--json")
    assert said.code == 0
    assert said.json["state"] == name
    [vote] = read_request(embedded(folder).ledger, asked).votes
    assert vote.evidence_digest == digest
    assert (vote.actor.method, vote.reason) == ("cli", "seen it")


@pytest.mark.parametrize("seen", ["sha256:" + "0" * 64, "0" * 12])
def test_a_vote_on_something_else_is_refused_and_recorded(
    backbeat: Make, asked: str, folder: Path, rows: Make, seen: str
) -> None:
    """A digest that is not the request's gives exit code 3, and the refusal is audited."""
    said = backbeat("signoff", "approve", asked, "--seen", seen)
    assert said.code == 3
    assert "bound to other evidence" in said.err
    query = "SELECT outcome FROM backbeat_audit_log WHERE action = 'signoff.vote'"
    assert rows(folder / "ledger.db", query) == [{"outcome": "refused"}]
    assert read_request(embedded(folder).ledger, asked).votes == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nobody is there to look at the evidence"),
        (("--seen", "12ab"), "at least 12 hex digits"),
    ],
)
def test_without_a_person_the_evidence_must_be_named(
    backbeat: Make, asked: str, folder: Path, words: tuple[str, ...], message: str
) -> None:
    """In a pipe a vote needs `--seen` or `--yes`; else it is wrong usage and nobody has voted."""
    said = backbeat("signoff", "approve", asked, *words)
    assert said.code == 2
    assert message in said.err
    assert read_request(embedded(folder).ledger, asked).votes == ()


def test_a_second_vote_is_refused_as_json(backbeat: Make, asked: str) -> None:
    """The refusal is one JSON document on stderr, and stdout is empty."""
    backbeat("signoff", "approve", asked, "--yes", "--as", "ben")
    said = backbeat("signoff", "reject", asked, "--yes", "--as", "cleo", "--json")
    assert (said.code, said.out) == (3, "")
    error = json.loads(said.err)
    assert error["error"] == "Refused"
    assert "it was approved by ben" in error["message"]


def test_an_unknown_request_is_named(backbeat: Make) -> None:
    """No such request is a final error."""
    said = backbeat("signoff", "show", "so-0")
    assert said.code == 6
    assert "there is no sign-off request so-0" in said.err


@pytest.mark.parametrize(("answer", "votes"), [("y\n", 1), ("n\n", 0)])
def test_a_person_is_shown_the_evidence_and_asked(
    asked: str, folder: Path, answer: str, votes: int
) -> None:
    """At a terminal the evidence comes first, and only a yes is a vote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--folder", folder, "signoff", "approve", asked],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "120"},
    )
    os.close(theirs)
    said = b""
    try:
        while b"[y/N]" not in said:
            said += os.read(ours, 4096)
        os.write(ours, answer.encode())
        code = process.wait(60)
    finally:
        process.kill()
        os.close(ours)
    assert b'"better": true' in said
    assert b"\x1b[2J" not in said
    assert code == (0 if votes else 1)
    assert len(read_request(embedded(folder).ledger, asked).votes) == votes
