"""The order in which the rooms of the core may import one another (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "src" / "backbeat"
# a room imports only rooms of earlier lines, and the edges that are declared below
ORDER = (
    {"errors", "canonical", "redact", "__init__"},
    {"identity", "reference", "addresses"},
    {"ports"},
    {"step", "platform"},
    {"kinds"},
    {"audit", "telemetry", "policy", "retries"},
    {"data", "contract", "ledger", "registry", "notify"},
    {"quality", "drift", "inference", "training", "signoff", "lineage", "promotion"},
    {"runner", "alerts"},
    {"steps"},
    {"wiring"},
    {"service"},
    {"testing"},
    {"cli"},
)
DECLARED = {("contract", "data"), ("promotion", "signoff"), ("training", "inference")}
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted(CORE.rglob("*.py"))


def _room(path: Path) -> str:
    first = path.relative_to(CORE).parts[0]
    return first.removesuffix(".py")


def _imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "backbeat":
                names = [f"backbeat.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("backbeat.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_a_room_imports_only_what_is_below_it(path: Path) -> None:
    """No file of the core imports a room above its own, nor an undeclared neighbour."""
    room = _room(path)
    if room == "__init__":
        return  # the public face hands on names of every room, lazily
    wrong = {
        other
        for other in _imported_rooms(path) & set(RANK)
        if other != room and RANK[other] >= RANK[room] and (room, other) not in DECLARED
    }
    assert not wrong, f"{path.relative_to(CORE)} may not import {sorted(wrong)}"


def test_every_room_has_its_place() -> None:
    """A new room is given a place in the order before it is used."""
    assert {_room(path) for path in FILES} <= set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_knows_no_orchestrator(path: Path) -> None:
    """Nothing in the core imports Airflow or Dagster, not even inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        assert not {name.split(".")[0] for name in names} & {"airflow", "dagster"}
