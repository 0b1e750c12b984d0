from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import InvalidData, InvalidStep, NotFound
from backbeat.quality import check_with_context
from backbeat.quality.context import read_suite


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a folder with its time of change and content."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


def test_a_suite_is_found_by_name_and_checked(flights: Any, gx_folder: Path) -> None:
    """The user's own suite is checked with its arguments and descriptions."""
    result = check_with_context(flights, context_root=gx_folder, suite_name="arrivals")

    assert (result.suite, result.rows, result.success) == ("arrivals", 4, False)
    assert [item.success for item in result.results] == [True, False]
    assert result.failures[0].description == "Distances are in miles."


def test_the_folder_is_only_read(flights: Any, gx_folder: Path) -> None:
    """Not a byte, a file or a time of change differs in the user's folder after a check."""
    before = everything(gx_folder)

    check_with_context(flights, context_root=gx_folder, suite_name="arrivals")

    assert everything(gx_folder) == before


def test_a_fresh_clone_stays_a_fresh_clone(flights: Any, gx_folder: Path) -> None:
    """What Great Expectations would create in a folder fresh from git is not created."""
    for name in ("uncommitted", "plugins", "checkpoints", "validation_definitions"):
        shutil.rmtree(gx_folder / name)
    (gx_folder / ".gitignore").unlink()
    for mark in gx_folder.rglob(".ge_store_backend_id"):
        mark.unlink()
    before = everything(gx_folder)

    result = check_with_context(flights, context_root=gx_folder, suite_name="arrivals")

    assert len(result.results) == 2
    assert everything(gx_folder) == before


def test_a_relative_folder_is_one_too(
    flights: Any, gx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder may be named from the working directory."""
    monkeypatch.chdir(gx_folder.parent)

    result = check_with_context(flights, context_root=Path("gx"), suite_name="arrivals")

    assert result.rows == 4


def test_an_unknown_suite_names_those_that_exist(gx_folder: Path) -> None:
    """A misspelt suite is answered with the names in that folder."""
    with pytest.raises(NotFound, match="no suite 'arrival'") as caught:
        read_suite(gx_folder, "arrival")

    assert caught.value.hint == "It has 'arrivals', 'departures'."


def test_the_project_above_the_folder_is_not_the_folder(gx_folder: Path) -> None:
    """A folder without the project file is refused, and nothing is created in it."""
    before = everything(gx_folder.parent)

    with pytest.raises(NotFound, match=r"great_expectations\.yml") as caught:
        read_suite(gx_folder.parent, "arrivals")

    assert "`gx`" in caught.value.hint
    assert everything(gx_folder.parent) == before


def test_a_suite_without_expectations_is_refused(gx_folder: Path) -> None:
    """An empty suite of the user's would pass anything, so it is refused."""
    with pytest.raises(InvalidStep, match="departures"):
        read_suite(gx_folder, "departures")


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "arrivals"}'])
def test_a_broken_suite_file_is_named(gx_folder: Path, content: str) -> None:
    """A suite's file that is not what Great Expectations writes is bad data."""
    (gx_folder / "expectations" / "arrivals.json").write_text(content)

    with pytest.raises((InvalidData, InvalidStep), match="arrivals"):
        read_suite(gx_folder, "arrivals")


@pytest.mark.parametrize("content", ["a: [", "just words", "stores: {}"])
def test_a_broken_project_file_is_named(gx_folder: Path, content: str) -> None:
    """A project file without a store of suites says what it lacks."""
    (gx_folder / "great_expectations.yml").write_text(content)

    with pytest.raises(InvalidData, match=r"great_expectations\.yml"):
        read_suite(gx_folder, "arrivals")


def test_an_expectation_of_an_unknown_type_is_not_dropped(flights: Any, gx_folder: Path) -> None:
    """A custom expectation that nobody imported stops the check; it is never left out."""
    path = gx_folder / "expectations" / "arrivals.json"
    path.write_text(path.read_text().replace("values_to_be_between", "values_to_be_odd"))

    with pytest.raises(InvalidStep, match="expect_column_values_to_be_odd"):
        check_with_context(flights, context_root=gx_folder, suite_name="arrivals")


def test_variables_of_the_project_are_filled(
    flights: Any, gx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store's path may come from the environment or from the project's own variables."""
    project = gx_folder / "great_expectations.yml"
    text = project.read_text()
    elsewhere = gx_folder.parent / "elsewhere"
    shutil.copytree(gx_folder / "expectations", elsewhere)
    shutil.rmtree(gx_folder / "expectations")
    assert "base_directory: expectations/" in text
    project.write_text(text.replace("base_directory: expectations/", "base_directory: ${SUITES}"))

    monkeypatch.setenv("SUITES", str(elsewhere))
    assert read_suite(gx_folder, "arrivals").name == "arrivals"
    monkeypatch.delenv("SUITES")
    (gx_folder / "uncommitted" / "config_variables.yml").write_text("SUITES: ../elsewhere\n")
    assert read_suite(gx_folder, "arrivals").name == "arrivals"


def test_a_missing_folder_of_suites_is_not_created(gx_folder: Path) -> None:
    """Where the project has no suites yet, that is said and nothing is created."""
    shutil.rmtree(gx_folder / "expectations")

    with pytest.raises(NotFound, match="expectations"):
        read_suite(gx_folder, "arrivals")

    assert not (gx_folder / "expectations").exists()
