from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backbeat.errors import InvalidStep, UserCodeFailed
from backbeat.training import code_digest, load_function

Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Write modules into a fresh package that can be imported; returns the package's name."""
    name = f"team_{tmp_path.name}".replace("-", "_")
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**modules: str) -> str:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for module, source in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(source)
        for loaded in [each for each in sys.modules if each.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
        importlib.invalidate_caches()
        return name

    return write


def test_a_function_is_found_by_its_path(package: Package) -> None:
    """The path of a function gives that function."""
    name = package(model="def train(data, params):\n    return 42\n")
    assert load_function(f"{name}.model:train")(None, None) == 42


@pytest.mark.parametrize(
    "path", ["", "train", "team.model.train", "team:", "a:b:c", "../team:train"]
)
def test_a_malformed_path_is_an_invalid_step(path: str) -> None:
    """Only package.module:function is a path."""
    with pytest.raises(InvalidStep, match="not the path of a function"):
        load_function(path)


@pytest.mark.parametrize("path", ["no_such_package.model:train", "{name}.no_such:train"])
def test_a_missing_module_is_an_invalid_step(package: Package, path: str) -> None:
    """A module that is not installed is named, whichever part of its path is missing."""
    path = path.format(name=package())
    with pytest.raises(InvalidStep, match="There is no module") as caught:
        load_function(path)
    assert "no_such" in caught.value.message
    assert "PYTHONPATH" in caught.value.hint


def test_a_misspelt_function_is_answered_with_its_neighbours(package: Package) -> None:
    """The hint offers the function that was meant."""
    name = package(model="def train(data, params): ...\n")
    with pytest.raises(InvalidStep, match="has no 'trian'") as caught:
        load_function(f"{name}.model:trian")
    assert caught.value.hint == "did you mean train?"


def test_what_cannot_be_called_is_an_invalid_step(package: Package) -> None:
    """A constant is no training function."""
    name = package(model="train = 42\n")
    with pytest.raises(InvalidStep, match="is a int, which cannot be called"):
        load_function(f"{name}.model:train")


@pytest.mark.parametrize("source", ["raise RuntimeError('no licence')", "import no_such_package"])
def test_a_module_that_raises_is_user_code_that_failed(package: Package, source: str) -> None:
    """The module is there, its own code raised: that is not a wrong path."""
    name = package(model=source)
    with pytest.raises(UserCodeFailed, match=r"Importing .* raised") as caught:
        load_function(f"{name}.model:train")
    assert isinstance(caught.value.__cause__, (RuntimeError, ModuleNotFoundError))


def test_the_code_digest_follows_the_whole_package(package: Package) -> None:
    """It stays while no source changes, and moves with a module beside the function's own."""
    model = "from .settings import DEPTH\ndef train(data, params): ...\n"

    def current(depth: int) -> str:
        name = package(model=model, settings=f"DEPTH = {depth}\n")
        return code_digest(load_function(f"{name}.model:train"))

    first = current(3)
    assert first.startswith("sha256:")
    assert current(3) == first
    assert current(4) != first


def test_a_module_of_its_own_has_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single file without a package counts alone, not its neighbours."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lonely_model.py").write_text("def train(data, params): ...\n")
    function = load_function("lonely_model:train")
    before = code_digest(function)
    (tmp_path / "neighbour.py").write_text("x = 1\n")
    assert code_digest(function) == before


def test_a_function_without_a_file_has_no_digest() -> None:
    """What nobody can read again cannot be told from yesterday's."""
    with pytest.raises(InvalidStep, match="no source file"):
        code_digest(len)


def test_changed_code_is_imported_anew(package: Package, tmp_path: Path) -> None:
    """A process that lives on trains with the code as it is now, also in the module next door."""
    source = "from . import step\n\ndef train(data, params):\n    return step.SIZE\n"
    name = package(model=source, step="SIZE = 1\n")
    first = load_function(f"{name}.model:train")
    before = code_digest(first)
    assert first(None, None) == 1
    (tmp_path / name / "step.py").write_text("SIZE = 2000\n")
    second = load_function(f"{name}.model:train")
    assert second(None, None) == 2000
    assert code_digest(second) != before
    assert load_function(f"{name}.model:train") is second
