"""Great Expectations, opened in memory, silent, and leaving no trace in the process."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from backbeat.errors import UnmetNeed

__all__ = ["ephemeral_context", "great_expectations"]

# Great Expectations keeps one current context a process, and warnings' filters are global too
_ONE_AT_A_TIME = threading.Lock()


def great_expectations() -> ModuleType:
    """The library, imported when it is first needed (some seconds).

    Raises:
        UnmetNeed: It is not installed. A retry does not help.
    """
    try:
        return import_module("great_expectations")
    except ImportError as error:
        raise UnmetNeed(
            f"Quality checks need Great Expectations, which cannot be imported: {error}.",
            hint="Install `backbeat[quality]`.",
        ) from error


@contextmanager
def ephemeral_context(
    *,
    expectations_store: Mapping[str, Any] | None = None,
    config_variables_file: str | None = None,
) -> Iterator[Any]:
    """A Great Expectations context in memory, the process's current one while it is open.

    It draws no progress bars, prints and warns nothing and sends no analytics. Afterwards the
    user's own context is the current one again. Sessions of one process wait for each other.

    Args:
        expectations_store: Configuration of a store of suites to use in place of memory.
        config_variables_file: Path of the file whose variables that configuration refers to.

    Yields:
        An `EphemeralDataContext`.

    Raises:
        UnmetNeed: Great Expectations is not installed. A retry does not help.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gx = great_expectations()
        with _current_context_kept(), _no_progress_bars(), _no_last_resort_logging():
            config = _config(expectations_store, config_variables_file)
            yield gx.get_context(mode="ephemeral", project_config=config)


def _config(expectations_store: Mapping[str, Any] | None, config_variables_file: str | None) -> Any:
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
    )

    # data docs are what would leave a temporary folder behind
    memory = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    if expectations_store is not None:
        memory.stores[memory.expectations_store_name] = dict(expectations_store)
    return DataContextConfig(
        store_backend_defaults=memory,
        config_variables_file_path=config_variables_file,
        analytics_enabled=False,
        progress_bars={"globally": False},
    )


@contextmanager
def _current_context_kept() -> Iterator[None]:
    from great_expectations.data_context.data_context.context_factory import project_manager
    from great_expectations.exceptions import DataContextError

    try:
        # the public way to ask came after 1.5
        current = project_manager._project  # noqa: SLF001
    except DataContextError:
        current = None
    try:
        yield
    finally:
        project_manager.set_project(current)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Silence the bars of metrics that ask for one whatever the context says (KL divergence)."""
    from great_expectations.validator import validation_graph

    drawn = validation_graph.tqdm
    validation_graph.tqdm = lambda *args, **options: drawn(*args, **{**options, "disable": True})
    try:
        yield
    finally:
        validation_graph.tqdm = drawn


@contextmanager
def _no_last_resort_logging() -> Iterator[None]:
    """Where nobody configured logging, Python would print the library's warnings on stderr."""
    logger, nowhere = logging.getLogger("great_expectations"), logging.NullHandler()
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)
