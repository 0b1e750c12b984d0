"""The pages about drift: their commands are run, and print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
FOLDER = "/srv/backbeat"


def blocks(page: str, language: str) -> list[str]:
    """The page's blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def _command(part: str) -> str:
    """A command with the lines that its prompt `> ` goes on with."""
    first, *others = part.splitlines()
    return "\n".join([first, *(line[2:] for line in others if line[:2] == "> ")])


@pytest.fixture(params=["drift.md", "many-models.md", "quality.md"])
def page(request: pytest.FixtureRequest) -> str:
    """A page whose commands are run."""
    return str(request.param)


@pytest.fixture
def said(
    page: str, folder: Path, landed: Callable[..., None], tmp_path: Path
) -> list[tuple[str, str]]:
    """Each command of the page, run in one shell, and what it printed."""
    landed(folder / "store" / "landing")
    for content in blocks(page, "yaml"):
        (tmp_path / "models.yaml").write_text(content)
    texts = blocks(page, "console")
    commands = [_command(part) for text in texts for part in text.split("$ ")[1:]]
    script = "\n".join(f"printf '\\036'\n{command}" for command in commands)
    script = script.replace(FOLDER, str(folder))
    found = subprocess.run(
        ["bash", "-e", "-o", "pipefail"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BACKBEAT_TRACKING_URI": "none",
        },
    )
    assert found.returncode == 0, found.stdout[-1500:] + found.stderr[-800:]
    return list(zip(commands, found.stdout.split("\036")[1:], strict=True))


def test_its_commands_print_what_it_shows(page: str, said: list[tuple[str, str]]) -> None:
    """Every command of the page ends well, and says what stands below it; … is anything."""
    shown = [part for text in blocks(page, "console") for part in text.split("$ ")[1:]]
    for (command, printed), part in zip(said, shown, strict=True):
        assert command == _command(part)
        expected = part.removeprefix(command.replace("\n", "\n> ").removesuffix("\n> END"))
        expected = expected.removeprefix("\n> END")
        lines = "\n".join(line.rstrip() for line in printed.strip().splitlines())
        pattern = re.sub(r"([\[*?])", r"[\1]", expected.strip()).replace("…", "*")
        assert fnmatchcase(lines, pattern), f"$ {command}\n{lines}"


def test_its_snippets_are_python(page: str) -> None:
    """What it shows for Airflow and Dagster compiles; their own suites run it."""
    snippets = blocks(page, "python")
    assert len(snippets) == 2
    for snippet in snippets:
        compile(snippet, page, "exec")
