"""The user's function: found by its import path, and told apart from yesterday's by its source."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backbeat.errors import InvalidStep, UserCodeFailed

__all__ = ["code_digest", "load_function"]

_imported: dict[str, str] = {}  # the source of each module as it was when it was imported
_PATH = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")


def load_function(path: str) -> Callable[..., Any]:
    """Import a function by its path, anew where its source has changed since this process did.

    Args:
        path: `package.module:function`.

    Raises:
        InvalidStep: The path is malformed, or names nothing that can be called.
        UserCodeFailed: The module is there, but importing it raised.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise InvalidStep(
            f"{path!r} is not the path of a function.", hint="write package.module:function"
        )
    module = _current(match["module"])
    name = match["name"]
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, _callables(module), n=3, cutoff=0.5)
        raise InvalidStep(
            f"The module {match['module']} has no {name!r}.",
            hint=f"did you mean {' or '.join(near)}?" if near else "name a function of that module",
        )
    found = getattr(module, name)
    if not callable(found):
        raise InvalidStep(
            f"{path} is a {type(found).__name__}, which cannot be called.",
            hint="name a function of that module",
        )
    return found  # type: ignore[no-any-return]


def code_digest(function: Callable[..., Any]) -> str:
    """`sha256:<hex>` of the source that a function comes from: its whole top-level package.

    The whole package, because a constant in the module next door changes a model as much as the
    function does. What the package imports from elsewhere is not in it.

    Raises:
        InvalidStep: The function has no source file, as one typed at a prompt.
    """
    name = inspect.unwrap(function).__module__
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        raise InvalidStep(
            f"The function {getattr(function, '__name__', function)!r} has no source file.",
            hint="put it in a module that the workers can import",
        )
    return _source_digest(name)


def _source_digest(name: str) -> str:
    own = Path(str(sys.modules[name].__file__))
    root = _package_folder(name)
    files = [own] if root is None else sorted(root.rglob("*.py"))
    hasher = hashlib.sha256()
    for each in files:
        relative = each.name if root is None else each.relative_to(root).as_posix()
        hasher.update(f"{relative}\0{each.stat().st_size}\0".encode())
        hasher.update(each.read_bytes())
    return f"sha256:{hasher.hexdigest()}"


def _current(name: str) -> Any:
    """The module as its source is now: a long-lived process must not train with yesterday's."""
    module = _module(name)
    if getattr(module, "__file__", None) is None:
        return module
    now = _source_digest(name)
    if _imported.setdefault(name, now) != now:
        top = name.partition(".")[0]
        for other in [item for item in sys.modules if item.partition(".")[0] == top]:
            del sys.modules[other]
        importlib.invalidate_caches()
        module = _module(name)
        _imported[name] = now
    return module


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # `a.b` missing while importing `a.b.c` is our path; a missing numpy inside it is not
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise InvalidStep(
                f"There is no module {error.name!r} for the path {name}.",
                hint="install its package where the step runs, or put its folder on PYTHONPATH",
            ) from error
        raise _raised(name, error) from error
    except Exception as error:
        raise _raised(name, error) from error


def _raised(name: str, error: Exception) -> UserCodeFailed:
    return UserCodeFailed(
        f"Importing {name} raised {type(error).__name__}: {error}.",
        hint=f"run `python -c 'import {name}'` where the step runs",
    )


def _callables(module: Any) -> list[str]:
    return [name for name in dir(module) if callable(getattr(module, name, None))]


def _package_folder(module: str) -> Path | None:
    """The folder of the outermost package with an `__init__.py`; None for a module of its own."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        found = sys.modules.get(".".join(parts[:length]))
        file = getattr(found, "__file__", None)
        if file is not None and Path(file).name == "__init__.py":
            return Path(file).parent
    return None
