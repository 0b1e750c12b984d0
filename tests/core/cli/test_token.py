from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]


def test_a_token_is_printed_once(backbeat: Make, folder: Path) -> None:
    """The text is in the answer and nowhere after: not in the list, not in the ledger."""
    issued = backbeat("token", "issue", "--scope", "worker", "--json").json
    assert issued["token"].startswith(f"bb1.{issued['id']}.")
    assert (issued["scope"], issued["workflow"], issued["revoked_at"]) == ("worker", None, None)
    secret = issued["token"].split(".")[2]
    listed = backbeat("token", "list", "--json")
    assert [token["id"] for token in listed.json] == [issued["id"]]
    assert secret not in listed.out
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert secret.encode() not in b"".join(files)


def test_a_token_is_bound_as_it_was_asked(backbeat: Make) -> None:
    """Scope, workflow and days are what the token has."""
    words = ["--scope", "reader", "--workflow", "nightly", "--days", "7", "--json"]
    issued = backbeat("token", "issue", *words).json
    assert (issued["scope"], issued["workflow"]) == ("reader", "nightly")
    shown = backbeat("token", "list").out
    assert "nightly" in shown
    assert issued["expires_at"] in shown


def test_a_revoked_token_is_listed_as_such(backbeat: Make) -> None:
    """Who withdrew a token sees when; withdrawing it again, or one that is none, is an error."""
    issued = backbeat("token", "issue", "--scope", "worker", "--json").json
    assert backbeat("token", "revoke", issued["id"]).code == 0
    (listed,) = backbeat("token", "list", "--json").json
    assert listed["revoked_at"] is not None
    for unknown in (issued["id"], "nobody"):
        said = backbeat("token", "revoke", unknown)
        assert said.code == 6
        assert "see `backbeat token list`" in said.err


@pytest.mark.parametrize(
    "words", [(), ("--scope", "owner"), ("--scope", "worker", "--days", "0")], ids=str
)
def test_a_token_without_a_scope_or_a_time_is_wrong_usage(
    backbeat: Make, folder: Path, words: tuple[str, ...]
) -> None:
    """There is no token for everything and for ever."""
    assert backbeat("token", "issue", *words).code == 2
    assert not folder.exists()


def test_no_token_is_an_answer(backbeat: Make) -> None:
    """An empty list says so."""
    assert backbeat("token", "list").out == "no token was issued\n"


def test_tokens_live_beside_the_ledger(backbeat: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker behind a service cannot issue tokens for it."""
    monkeypatch.setenv("BACKBEAT_LEDGER", "https://127.0.0.1:1")
    said = backbeat("token", "issue", "--scope", "worker")
    assert said.code == 6
    assert "behind a service" in said.err
