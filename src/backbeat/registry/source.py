"""What a person may call a model: a version, an alias, a run, a logged model; parsed and found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from backbeat.errors import InvalidStep, NotFound

__all__ = ["LoggedModel", "RegisteredName", "find_logged_model", "parse_registered", "quoted"]

_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")
_RUN = re.compile(r"(?:runs:/)?(?P<run>[0-9a-f]{32})(?:/(?P<path>.+))?")
_LOGGED = re.compile(r"models:/(?P<model>m-[0-9A-Za-z]+)")


@dataclass(frozen=True)
class RegisteredName:
    """A registered model with an alias or a version; exactly one of the two is set."""

    name: str
    alias: str | None
    version: str | None


@dataclass(frozen=True)
class LoggedModel:
    """A model as one run left it.

    Args:
        source: What MLflow is told to register: `models:/m-...` or the folder of a classic run.
        files: URI of the folder of its files.
        run_id: The run that made it, where there is one.
        model_id: `m-...`, where MLflow 3 keeps it as a logged model.
    """

    source: str
    files: str
    run_id: str | None
    model_id: str | None


def parse_registered(uri: str) -> RegisteredName:
    """Read `models:/name@alias` or `models:/name/3`.

    Raises:
        InvalidStep: It is neither.
    """
    match = _REGISTERED.fullmatch(uri)
    if match is None:
        raise InvalidStep(
            f"{uri!r} names no registered model version.",
            hint="write models:/<name>@<alias> or models:/<name>/<version number>",
        )
    return RegisteredName(**match.groupdict())


def quoted(value: str) -> str:
    """A string literal for MLflow's search filters, which know no escapes.

    Raises:
        InvalidStep: The value has a quote in it.
    """
    if "'" in value or "\\" in value:
        raise InvalidStep(
            f"MLflow cannot search for {value!r}.", hint="use a name without quotes or backslashes"
        )
    return f"'{value}'"


def find_logged_model(client: Any, source: str) -> LoggedModel:
    """Find the model behind a run id, `runs:/<run id>/<name>` or `models:/m-...`.

    Raises:
        NotFound: There is no such run or model, or the run logged none of that name.
        InvalidStep: The source has none of these forms, or the run logged several models.
    """
    logged = _LOGGED.fullmatch(source)
    if logged is not None:
        return _by_id(client, logged["model"])
    run = _RUN.fullmatch(source)
    if run is None:
        raise InvalidStep(
            f"{source!r} is no source of a model.",
            hint="give a run id, runs:/<run id>/<model name> or models:/m-...",
        )
    return _of_run(client, run["run"], run["path"])


def _of_run(client: Any, run_id: str, path: str | None) -> LoggedModel:
    record = client.get_run(run_id)
    outputs = record.outputs.model_outputs if record.outputs else []
    models = [client.get_logged_model(output.model_id) for output in outputs]
    fitting = [model for model in models if path in {None, model.name}]
    names = sorted({model.name for model in fitting})
    if len(names) > 1:
        raise InvalidStep(
            f"The run {run_id} logged several models: {', '.join(names)}.",
            hint=f"say which, as in runs:/{run_id}/{names[0]}",
        )
    if fitting:
        step = {output.model_id: output.step for output in outputs}
        return _as_source(max(fitting, key=lambda model: step[model.model_id]))
    folder = path or "model"
    if any(item.path == f"{folder}/MLmodel" for item in client.list_artifacts(run_id, folder)):
        files = f"{record.info.artifact_uri.rstrip('/')}/{folder}"
        return LoggedModel(source=files, files=files, run_id=run_id, model_id=None)
    there = ", ".join(sorted({model.name for model in models})) or "none"
    raise NotFound(
        f"The run {run_id} logged no model{f' named {path!r}' if path else ''}; it has: {there}.",
        hint="log a model in that run, or give the run that has it",
    )


def _by_id(client: Any, model_id: str) -> LoggedModel:
    return _as_source(client.get_logged_model(model_id))


def _as_source(model: Any) -> LoggedModel:
    return LoggedModel(
        source=f"models:/{model.model_id}",
        files=model.artifact_location,
        run_id=model.source_run_id or None,
        model_id=model.model_id,
    )
