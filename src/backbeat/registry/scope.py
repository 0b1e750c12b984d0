"""What surrounds every call into MLflow: silence, short time-outs, errors that say what to do.

MLflow takes its time-outs and progress bars from environment variables, logs at INFO and prints.
All of that belongs to the process, so it is changed only while a call of ours runs and put back
when the last one ends; calls from several threads share one such scope.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib import import_module
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from backbeat.errors import (
    BackbeatError,
    Conflict,
    InvalidStep,
    NotFound,
    Refused,
    StorageFull,
    UnmetNeed,
    Unreachable,
)

__all__ = ["quiet", "translated", "without_credentials"]

_LOGGERS = ("mlflow", "alembic")
_NOISY_MODULES = r"(mlflow|alembic|sqlalchemy|google\.protobuf|pydantic|backbeat\.registry)(\..*)?$"
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_SETTINGS = {
    # one immediate repeat; waiting longer is the orchestrator's retry, which people can see
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # read once, when MLflow is imported: a step must not phone out because it opened a registry
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_CAUSE = re.compile(r"\[Errno -?\d+\] [^'\")]+|Read timed out|Connection to \S+ timed out")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")

_ERRORS: dict[str, type[BackbeatError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "NOT_FOUND": NotFound,
    "PERMISSION_DENIED": Refused,
    "UNAUTHENTICATED": Refused,
    "CUSTOMER_UNAUTHORIZED": Refused,
    "RESOURCE_ALREADY_EXISTS": Conflict,
    "ALREADY_EXISTS": Conflict,
    "RESOURCE_CONFLICT": Conflict,
    "INVALID_STATE": Conflict,
    "INTERNAL_ERROR": Unreachable,
    "TEMPORARILY_UNAVAILABLE": Unreachable,
    "REQUEST_LIMIT_EXCEEDED": Unreachable,
    "RESOURCE_EXHAUSTED": Unreachable,
    "DEADLINE_EXCEEDED": Unreachable,
}
_HINTS: dict[type[BackbeatError], str] = {
    NotFound: "correct the name or id, or make what it names first",
    Conflict: "look at it in MLflow; somebody else is changing the same thing",
    Refused: "give the tracking URI, or MLFLOW_TRACKING_TOKEN, an account that may do this",
    Unreachable: "check that the MLflow server or database runs and that its address is right",
    InvalidStep: "correct the name or value that MLflow rejects",
}


class _Where(Protocol):
    @property
    def where(self) -> str: ...

    @property
    def timeout_seconds(self) -> float: ...


Self_ = TypeVar("Self_", bound=_Where)
P = ParamSpec("P")
R = TypeVar("R")


class _Scope:
    """The one process-wide scope: opened by the first call, closed by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeouts: list[float] = []
        self._stack = ExitStack()

    def enter(self, timeout_seconds: float) -> None:
        with self._lock:
            if not self._timeouts:
                with ExitStack() as opening:
                    opening.enter_context(_environment({**_SETTINGS, _TIMEOUT: ""}))
                    self._set_timeout(timeout_seconds)
                    opening.enter_context(warnings.catch_warnings())
                    warnings.filterwarnings("ignore", module=_NOISY_MODULES)
                    import_module("mlflow")  # sets its loggers up, which would undo the next line
                    opening.enter_context(_logs_off())
                    self._stack = opening.pop_all()
            self._timeouts.append(timeout_seconds)
            self._set_timeout(max(self._timeouts))

    def leave(self, timeout_seconds: float) -> None:
        with self._lock:
            self._timeouts.remove(timeout_seconds)
            if self._timeouts:
                self._set_timeout(max(self._timeouts))
            else:
                self._stack.close()

    @staticmethod
    def _set_timeout(seconds: float) -> None:
        # two registries with different patience in two threads: nobody gets less than they set
        os.environ[_TIMEOUT] = str(max(1, round(seconds)))


_SCOPE = _Scope()


@contextmanager
def quiet(timeout_seconds: float) -> Iterator[None]:
    """Run calls into MLflow with its logs, progress bars and long retries switched off."""
    _SCOPE.enter(timeout_seconds)
    try:
        yield
    finally:
        _SCOPE.leave(timeout_seconds)


def translated(
    method: Callable[Concatenate[Self_, P], R],
) -> Callable[Concatenate[Self_, P], R]:
    """Make a registry's method quiet, and its failures errors of backbeat without credentials."""

    @wraps(method)
    def call(self: Self_, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with quiet(self.timeout_seconds):
                return method(self, *args, **kwargs)
        except BackbeatError:
            raise
        except Exception as error:  # noqa: BLE001 - sorted below; what is not MLflow's goes on
            failure = _translate(error, self.where)
        # raised out here, so that no traceback shows MLflow's message with the URI's password
        raise failure

    return call


def without_credentials(text: str) -> str:
    """A URI, or a sentence with URIs in it, without user names and passwords."""
    return _CREDENTIALS.sub("", text)


def _translate(error: Exception, where: str) -> Exception:  # noqa: PLR0911 - one an origin
    if isinstance(error, ImportError):
        return UnmetNeed(
            f"The model registry cannot be used here: {_brief(error)}",
            hint='install what fits together: pip install --upgrade "backbeat[mlflow]"',
        )
    module = type(error).__module__.partition(".")[0]
    if "database or disk is full" in str(error) or "readonly database" in str(error):
        return StorageFull(
            f"The MLflow database at {where} cannot be written: {_brief(error)}",
            hint="free space on, or make writable, the disk that holds it",
        )
    away = isinstance(error, (ConnectionError, TimeoutError))
    if away or module in {"requests", "urllib3", "sqlalchemy"}:
        return _of_kind(Unreachable, error, where)
    if isinstance(error, OSError):
        return StorageFull(
            f"The registry's files at {where} cannot be read or written: {error}.",
            hint="check free space and permissions of the artifact folder",
        )
    if module != "mlflow":
        return error
    if "out-of-date database schema" in str(error):
        return UnmetNeed(
            f"The MLflow database at {where} was made by another MLflow version: {_brief(error)}",
            hint="back it up, then run `mlflow db upgrade` with the version installed here",
        )
    return _of_kind(_ERRORS.get(getattr(error, "error_code", ""), InvalidStep), error, where)


def _of_kind(kind: type[BackbeatError], error: Exception, where: str) -> BackbeatError:
    said = "did not answer" if kind is Unreachable else "refused the call"
    return kind(f"MLflow at {where} {said}: {_brief(error)}", hint=_HINTS.get(kind, ""))


def _brief(error: Exception) -> str:
    text = without_credentials(str(error)).strip()
    cause = _CAUSE.search(text)  # what is left of urllib3's nested sentences
    lines = [cause[0]] if cause else text.splitlines() or [type(error).__name__]
    return lines[0][:400].rstrip(".") + "."


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _logs_off() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
