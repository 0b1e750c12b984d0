"""One server at a time, started for its tests and ended after them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
_NOBODY = ""
sys.path.insert(0, str(HERE))

from asking import Model  # noqa: E402 - it lies in this folder
from serving import Served, environment  # noqa: E402 - it lies in this folder


def _modules() -> dict[str, ModuleType]:
    asked = os.environ.get("SERVERS", "").split()
    names = sorted(path.stem.removesuffix("_server") for path in HERE.glob("*_server.py"))
    return {name: import_module(f"{name}_server") for name in names if name in (asked or names)}


def pytest_configure(config: pytest.Config) -> None:
    """The mark of tests that are not of the one tabular model."""
    config.addinivalue_line(
        "markers", "address(*labels): at these addresses of the servers that have them"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every server that serves the one model, by each of its addresses, or by those marked."""
    if "model" not in metafunc.fixturenames:
        return
    marked = metafunc.definition.get_closest_marker("address")
    found = [
        pytest.param(name, label, id=f"{name}-{label}")
        for name, module in _modules().items()
        for label in (*getattr(module, "LABELS", ()), *getattr(module, "MEDIA", ()))
        # a server of text has an address for each thing to be seen, not one model at all
        if (
            label in marked.args
            if marked
            else getattr(module, "TABULAR", True) and label not in getattr(module, "MEDIA", ())
        )
    ]
    metafunc.parametrize(
        ("served", "label"),
        found or [pytest.param(_NOBODY, "")],
        indirect=["served"],
        scope="session",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test for which none of the asked servers is there is not of this run, and no skip."""
    params = {item: getattr(getattr(item, "callspec", None), "params", {}) for item in items}
    left_out = [item for item in items if params[item].get("served") == _NOBODY]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A running server, by its name."""
    name: str = request.param
    if not (environment(name) / ".ready").exists():
        pytest.skip(f"{name} is not installed: make servers SERVERS={name}")
    running: Served = _modules()[name].start(tmp_path_factory.mktemp(name))
    yield running
    family = running.pids
    running.stop()
    left = [pid for pid in family if Path(f"/proc/{pid}").exists()]
    assert not left, f"{name} left processes {left} behind"


@pytest.fixture
def model(served: Served, label: str) -> Model:
    """The model behind one of a server's addresses."""
    return Model(served.addresses[label], key=served.key)
