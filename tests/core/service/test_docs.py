"""The page about a ledger behind a service."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.service import Scope
from backbeat.wiring import SETTINGS

PAGE = (Path(__file__).parents[3] / "docs" / "remote-ledger.md").read_text()


@pytest.mark.parametrize("scope", Scope)
def test_its_table_of_scopes_is_the_codes(scope: Scope) -> None:
    """What the page says a token may call is what it may."""
    (verbs,) = re.findall(rf"^\| `{scope}` \| (.+) \|$", PAGE, re.MULTILINE)
    assert set(verbs.split(", ")) == scope.verbs


def test_its_settings_exist() -> None:
    """What a worker is told to export is read."""
    named = set(re.findall(r"export BACKBEAT_(\w+)=", PAGE))
    assert {name.lower() for name in named} == {"folder", "ledger", "ledger_token"} <= set(SETTINGS)


def test_its_commands_are_understood() -> None:
    """Every option of a command on the page is one that the command has."""
    from typer.testing import CliRunner

    from backbeat.cli.main import app

    run: Callable[..., Any] = CliRunner().invoke
    text = PAGE.replace("\\\n", " ")
    lines = re.findall(r"^backbeat --folder \S+ ((?:token issue|serve) .+)$", text, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        words = [word for word in line.split() if word.isalpha()][: 2 if "token" in line else 1]
        said = run(app, [*words, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--[a-z]+", line):
            assert option in said
