"""Reading a suite out of a user's Great Expectations folder without writing into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backbeat.errors import InvalidData, InvalidStep, NotFound
from backbeat.quality.session import ephemeral_context, great_expectations
from backbeat.quality.suite import Suite

__all__ = ["read_suite"]

_PROJECT_FILE = "great_expectations.yml"
_WHERE = f"Name the folder that holds `{_PROJECT_FILE}`, usually called `gx`."


def read_suite(context_root: Path, suite_name: str) -> Suite:
    """Read a suite by its name from the store of suites that a file context is configured with.

    Opening such a folder as a `FileDataContext` would write into it (missing folders, an id per
    store). So only its store of suites is opened, as part of a context in memory.

    Args:
        context_root: The folder of `great_expectations.yml`.
        suite_name: The suite's name.

    Returns:
        The suite as data.

    Raises:
        NotFound: No such folder, or no such suite; it names those that exist.
        InvalidData: The project file or the suite's file is not what Great Expectations writes.
        InvalidStep: The suite holds no expectations.
        UnmetNeed: Great Expectations is not installed. A retry helps with none of these.
    """
    root = context_root.absolute()
    project = _project(root)
    store = _store_of_suites(project, root)
    variables = project.get("config_variables_file_path")
    if variables and "$" not in variables:
        variables = str(root / variables)
    with ephemeral_context(expectations_store=store, config_variables_file=variables) as context:
        found = _stored(context.expectations_store, suite_name, root)
    return _as_data(found, suite_name)


def _project(root: Path) -> Mapping[str, Any]:
    path = root / _PROJECT_FILE
    if not path.is_file():
        raise NotFound(f"There is no `{_PROJECT_FILE}` in {root}.", hint=_WHERE)
    great_expectations()  # which brings the YAML library along
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        project = YAML(typ="safe").load(path)
    except (YAMLError, UnicodeDecodeError) as error:
        raise InvalidData(
            f"{path} is not YAML: {error}.", hint="Open the folder with Great Expectations itself."
        ) from error
    if not isinstance(project, Mapping):
        raise InvalidData(f"{path} holds no settings.", hint=_WHERE)
    return project


def _store_of_suites(project: Mapping[str, Any], root: Path) -> dict[str, Any]:
    name = project.get("expectations_store_name")
    store = (project.get("stores") or {}).get(name)
    if not isinstance(store, Mapping):
        raise InvalidData(
            f"{root / _PROJECT_FILE} configures no store of suites.",
            hint="Set `expectations_store_name` to one of its `stores`.",
        )
    backend = dict(store.get("store_backend") or {})
    # without its id a store is only read
    backend["suppress_store_backend_id"] = True
    if "base_directory" in backend:
        backend.setdefault("root_directory", str(root))
        folder = root / backend["base_directory"]
        if "$" not in backend["base_directory"] and not folder.is_dir():
            raise NotFound(
                f"The folder of suites {folder} does not exist.",
                hint="Save a suite with Great Expectations first.",
            )
    return {**store, "store_backend": backend}


def _stored(store: Any, suite_name: str, root: Path) -> Mapping[str, Any]:
    try:
        key = store.get_key(name=suite_name, id=None)
        if store.has_key(key=key):
            found: Mapping[str, Any] = store.get(key=key)
            return found
        names = sorted(key.name for key in store.list_keys())
    except Exception as error:
        # a store's reader raises whatever its backend and its schema raise
        raise InvalidData(
            f"The suite {suite_name!r} in {root} cannot be read: {error}.",
            hint="Open it with Great Expectations 1.x and save it again.",
        ) from error
    raise NotFound(
        f"There is no suite {suite_name!r} in {root}.",
        hint=f"It has {', '.join(map(repr, names))}." if names else "It has no suites yet.",
    )


def _as_data(found: Mapping[str, Any], suite_name: str) -> Suite:
    expectations = [
        {
            "type": item.get("type"),
            "kwargs": item.get("kwargs") or {},
            "severity": item.get("severity"),
            "description": item.get("description"),
        }
        for item in found.get("expectations") or ()
    ]
    try:
        return Suite.model_validate({"name": suite_name, "expectations": expectations})
    except ValidationError as error:
        raise InvalidStep(
            f"The suite {suite_name!r} cannot be checked: {error.errors()[0]['msg']}.",
            hint="A suite needs at least one expectation, with arguments that are JSON.",
        ) from error
