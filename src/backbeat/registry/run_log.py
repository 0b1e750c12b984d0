"""Writing one run with its parameters, metrics and model, so that a crash leaves no false one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from backbeat.errors import Conflict, LeaseHeld
from backbeat.registry.database import is_database, sqlite_file
from backbeat.registry.source import quoted

__all__ = ["EFFECT_TAG", "close_run", "experiment_id", "runs_of_effect", "write_run"]

EFFECT_TAG = "backbeat.effect"
_MODEL_NAME = "model"
_PARAMS_A_BATCH = 100
_METRICS_A_BATCH = 500


def runs_of_effect(client: Any, effect_id: str, *, status: str) -> list[str]:
    """Ids of the runs with an effect's tag and a status (`FINISHED`, `RUNNING`), oldest first."""
    experiments = _every(client.search_experiments)
    if not experiments:
        return []
    runs = client.search_runs(
        [experiment.experiment_id for experiment in experiments],
        f"tags.`{EFFECT_TAG}` = {quoted(effect_id)} and attributes.status = '{status}'",
        order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
    )
    return [run.info.run_id for run in runs]


def close_run(client: Any, run_id: str) -> None:
    """End a run whose writer died as KILLED, and its models as FAILED."""
    experiment = client.get_run(run_id).info.experiment_id
    ours = f"source_run_id = {quoted(run_id)}"
    for model in client.search_logged_models([experiment], filter_string=ours):
        client.finalize_logged_model(model.model_id, "FAILED")
    # last, so that an attempt that dies in here is followed by one that finds the run open again
    client.set_terminated(run_id, "KILLED")


def experiment_id(client: Any, name: str, *, tracking_uri: str, artifact_root: str | None) -> str:
    """The id of an experiment, which is created where it is missing.

    Raises:
        Conflict: It was deleted; MLflow keeps its name taken until it is restored or purged.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = _artifact_location(name, tracking_uri, artifact_root)
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another worker was faster
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise Conflict(
            f"The experiment {name!r} was deleted in MLflow, which keeps its name taken.",
            hint=f"restore it: mlflow experiments restore -x {found.experiment_id}",
        )
    return str(found.experiment_id)


def write_run(
    client: Any,
    folder: Path,
    *,
    experiment: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> str:
    """Log a run and the model files of a folder; the run is finished only when all is there.

    Args:
        client: `mlflow.MlflowClient`.
        folder: What `write_model` wrote.
        experiment: Experiment id.
        params: Values that are not text are written as JSON.
        metrics: Numbers by name.
        tags: Tags of run and model, the effect's among them.

    Returns:
        The run id.

    Raises:
        LeaseHeld: A later attempt has closed the run and makes its own; a retry finds that one.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Param

    now = int(time.time() * 1000)
    run_id: str = client.create_run(experiment, start_time=now, tags=dict(tags)).info.run_id
    logged = None
    try:
        # one whose writer died, or whose creation was answered to nobody and then repeated
        for left_behind in runs_of_effect(client, tags[EFFECT_TAG], status="RUNNING"):
            if left_behind != run_id:
                close_run(client, left_behind)
        texts = {name: _text(value) for name, value in params.items()}
        listed = [Param(name, text) for name, text in texts.items()]
        for first in range(0, len(listed), _PARAMS_A_BATCH):
            client.log_batch(run_id, params=listed[first : first + _PARAMS_A_BATCH])
        numbers = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
        for first in range(0, len(numbers), _METRICS_A_BATCH):
            client.log_batch(run_id, metrics=numbers[first : first + _METRICS_A_BATCH])
        logged = client.create_logged_model(
            experiment, name=_MODEL_NAME, source_run_id=run_id, tags=dict(tags), params=texts
        )
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        _name_origin(folder, run_id=run_id, model=logged)
        client.log_model_artifacts(logged.model_id, str(folder))
        _require_open(client, run_id)
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    except BaseException:
        # a courtesy to whoever reads the list of runs: what failed is already being raised
        with suppress(Exception):
            if logged is not None:
                client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _require_open(client: Any, run_id: str) -> None:
    # a worker that slept through its own end must not finish a second run of the effect
    if client.get_run(run_id).info.status != "RUNNING":
        raise LeaseHeld(
            f"a later attempt has closed the run {run_id} and logs the same model itself",
            hint="let it finish; a retry finds its run",
        )


def _name_origin(folder: Path, *, run_id: str, model: Any) -> None:
    """Write into the MLmodel file which run and logged model it belongs to, as MLflow does."""
    from mlflow.models import Model

    file = str(folder / "MLmodel")
    description = Model.load(file)
    description.run_id = run_id
    description.model_id = model.model_id
    description.model_uuid = model.model_id
    description.artifact_path = model.artifact_location
    description.save(file)


def _artifact_location(name: str, tracking_uri: str, root: str | None) -> str | None:
    if root is None:
        file = sqlite_file(tracking_uri)
        if file is None:
            return None  # the server or the operator of the database chose one
        # MLflow's own default is the working directory, which differs from task to task
        root = str(file.parent / "mlartifacts")
    if is_database(tracking_uri) and "://" not in root:
        root = str(Path(root).absolute())
    return f"{root.rstrip('/')}/{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)


def _every(search: Any) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = search(page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return found
