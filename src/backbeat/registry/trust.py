"""Which models may be unpacked: skops files whose types come from the numeric libraries.

A pickle runs whatever its author put in it. The skops format runs nothing, but a type that skops
does not know must be trusted by name, and MLflow reads that list of names from the model itself:
a crafted model could name anything. So the list is held against one of our own, when a model is
written and again before one is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from backbeat.errors import InvalidData, Refused

__all__ = ["check_loadable", "untrusted"]

_ROOTS = ("sklearn", "numpy", "scipy", "collections")
# how names inside them begin that run programs, touch files or are there for their own tests
_NEVER = (
    "numpy.ctypeslib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.from",
    "numpy.genfromtxt",
    "numpy.lib.",
    "numpy.load",
    "numpy.memmap",
    "numpy.save",
    "numpy.testing",
    "scipy.datasets",
    "scipy.io",
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.utils._testing",
)
_SETTING = "allow_pickle=True on the registry, if everyone who can write to it is trusted"


def untrusted(types: Iterable[str]) -> list[str]:
    """The types of a skops file that are not plainly from scikit-learn, NumPy or SciPy.

    Args:
        types: Qualified names, as `skops.io.get_untrusted_types` gives them.
    """
    return sorted(name for name in types if not _trusted(name))


def check_loadable(flavors: Mapping[str, Mapping[str, Any]], *, name: str) -> None:
    """Say no to a model whose loading could run code, judged by its MLmodel file alone.

    Args:
        flavors: The `flavors` of its MLmodel file.
        name: The model, for the message.

    Raises:
        Refused: It is pickled, brings its own code, or trusts types that are not well known.
        InvalidData: It cannot score data frames at all.
    """
    python = flavors.get("python_function")
    if python is None:
        raise InvalidData(
            f"{name} has no python_function flavor, so it cannot score a data frame.",
            hint="log it with a flavor of MLflow that has one",
        )
    sklearn = flavors.get("sklearn") or {}
    file = str(sklearn.get("pickled_model", ""))
    loader = python.get("loader_module")
    written_as = sklearn.get("serialization_format", "pickle")
    if loader != "mlflow.sklearn" or written_as != "skops":
        how = f"as {written_as}" if loader == "mlflow.sklearn" else f"for {loader}"
        raise Refused(
            f"{name} is saved {how}; loading it could run any code that its author chose.",
            hint=f'log it with serialization_format="skops", or set {_SETTING}',
        )
    # MLflow takes `data` for a pickled file of old, and a path could lead to a second MLmodel file
    if python.get("data") or file != python.get("model_path") or not _plain(file):
        raise Refused(f"{name} does not keep its model where MLflow puts it.", hint="log it again")
    if python.get("code") or sklearn.get("code"):
        raise Refused(
            f"{name} brings Python code of its own, which loading it would run.",
            hint=f"install that code as a package and log the model without it, or set {_SETTING}",
        )
    unknown = untrusted(sklearn.get("skops_trusted_types") or ())
    if unknown:
        raise Refused(
            f"{name} asks to trust types that are not well known: {', '.join(unknown)}.",
            hint=f"use estimators of scikit-learn, or set {_SETTING}",
        )


def _plain(file: str) -> bool:
    return bool(file) and file not in {".", ".."} and PurePosixPath(file).name == file


def _trusted(name: str) -> bool:
    if not _well_known(name):
        return False
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    # a module of theirs may have imported something that is not theirs: subprocess.Popen, say
    origin = getattr(found, "__module__", None) or ""
    return _well_known(f"{origin}.{attribute}") and callable(found)


def _well_known(name: str) -> bool:
    return name.startswith(tuple(f"{root}." for root in _ROOTS)) and not name.startswith(_NEVER)
