"""MLflow as the model registry: a tracking server over HTTP, or a database file on this host.

Every call goes through a client that holds its own addresses, and a model is written to files
first and uploaded by that client, so that no tracking URI, active run or experiment of the process
is read or set: two registries in one process do not meet, and a user's own `mlflow.start_run()`
beside them is not disturbed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from backbeat.errors import InvalidStep, NotFound
from backbeat.ports import ModelVersion
from backbeat.registry.database import is_database, opening
from backbeat.registry.model_files import LoadedModel, read_model, write_model
from backbeat.registry.run_log import EFFECT_TAG, experiment_id, runs_of_effect, write_run
from backbeat.registry.scope import translated, without_credentials
from backbeat.registry.source import find_logged_model, parse_registered, quoted

__all__ = ["MlflowRegistry"]

_MODELS_IN_MEMORY = 4
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_TAKEN = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}


class MlflowRegistry:
    """The `Registry` port over MLflow.

    Nothing is opened before the first call. What a call raises is of `backbeat.errors`, and no
    message shows the user name or password of an address.

    Args:
        tracking_uri: `sqlite:///` and a path, `http(s)://` a server, or a database URL.
        registry_uri: Where versions are registered, if that is not the tracking URI.
        artifact_root: Folder or bucket for the models of experiments that backbeat creates.
            By default the server's, or `mlartifacts` beside the SQLite file.
        allow_pickle: Whether models may be written and loaded whose loading can run code.
        timeout_seconds: How long one request to a server may take.
    """

    def __init__(
        self,
        *,
        tracking_uri: str,
        registry_uri: str | None = None,
        artifact_root: str | None = None,
        allow_pickle: bool = False,
        timeout_seconds: float = 10,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._tracking_uri = tracking_uri
        self._registry_uri = registry_uri or tracking_uri
        self._artifact_root = artifact_root
        self._allow_pickle = allow_pickle
        self._lock = threading.Lock()
        self._client: Any = None
        self._models: OrderedDict[tuple[str, str], LoadedModel] = OrderedDict()

    @property
    def where(self) -> str:
        """The tracking URI without user name and password."""
        return without_credentials(self._tracking_uri)

    @translated
    def resolve(self, uri: str) -> ModelVersion:
        """The version that `models:/name/3` or `models:/name@alias` means now.

        Raises:
            NotFound: There is none; the hint names the aliases and versions that do exist.
            InvalidStep: The URI has neither form.
            Unreachable: The registry did not answer; a retry can help.
        """
        return _version(self._resolved(uri))

    @translated
    def alias(self, name: str, alias: str) -> str | None:
        """The version number that an alias points to, None where model or alias is missing."""
        model = self._registered(name)
        version = None if model is None else model.aliases.get(alias)
        return None if version is None else str(version)

    @translated
    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version; MLflow lets the last writer win, so the caller locks.

        Raises:
            NotFound: The version does not exist.
        """
        self._resolved(f"models:/{name}/{version}")
        self._open().set_registered_model_alias(name, alias, version)

    @translated
    def find_run(self, effect_id: str) -> str | None:
        """The finished run that an effect made, None where it did not happen or did not end."""
        finished = runs_of_effect(self._open(), effect_id, status="FINISHED")
        return finished[0] if finished else None

    @translated
    def run_metrics(self, run_id: str) -> dict[str, float]:
        """The last value of each metric of a run.

        Raises:
            NotFound: There is no such run.
        """
        return dict(self._open().get_run(run_id).data.metrics)

    @translated
    def log_model(
        self,
        model: Any,
        *,
        effect_id: str,
        experiment: str,
        predict: str,
        sample: Any,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        """Log a fitted scikit-learn model as one run, once per effect id.

        Args:
            model: Estimator or pipeline; written as skops, which runs no code when it is loaded.
            effect_id: Deterministic name of this effect, kept as the tag `backbeat.effect`.
            experiment: Name of the experiment, created where it is missing.
            predict: `predict` or `predict_proba`, what scoring will call.
            sample: A few input rows, `pandas.DataFrame`; only their columns and types are kept.
            params: Parameters of the training.
            metrics: Numbers by name.
            tags: Further tags of the run.

        Returns:
            The id of the finished run: a new one, or the one that this effect made before.

        Raises:
            UserCodeFailed: The model cannot score the sample or be written without pickling.
            UnmetNeed: The installed MLflow is older than its skops support.
            Unreachable, StorageFull: A retry can help, and leaves no second finished run.
            LeaseHeld: A later attempt logs it instead; a retry finds its run.
        """
        client = self._open()
        finished = runs_of_effect(client, effect_id, status="FINISHED")
        if finished:
            return finished[0]
        with TemporaryDirectory(prefix="backbeat-model-") as scratch:
            folder = Path(scratch) / "model"
            write_model(
                model, folder, predict=predict, sample=sample, allow_pickle=self._allow_pickle
            )
            return write_run(
                client,
                folder,
                experiment=experiment_id(
                    client,
                    experiment,
                    tracking_uri=self._tracking_uri,
                    artifact_root=self._artifact_root,
                ),
                params=params,
                metrics=metrics,
                tags={**tags, EFFECT_TAG: effect_id},
            )

    @translated
    def find_version(self, name: str, effect_id: str) -> ModelVersion | None:
        """The version that an effect registered, None where it did not happen."""
        return self._effect(name, effect_id)

    @translated
    def register(
        self, name: str, *, source: str, effect_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Register a model under a name, once per effect id; the name is created if missing.

        Args:
            name: Registered model's name.
            source: A run id, `runs:/<run id>/<model name>` or `models:/m-...`.
            effect_id: Deterministic name of this effect, kept as the tag `backbeat.effect`.
            tags: Further tags of the version.

        Raises:
            NotFound: There is no such run or model.
            InvalidStep: The source has another form, or MLflow rejects the name.
            Unreachable: A retry can help, and makes no second version.
        """
        done = self._effect(name, effect_id)
        if done is not None:
            return done
        client = self._open()
        logged = find_logged_model(client, source)
        self._ensure_registered(name)
        made = client.create_model_version(
            name,
            # in a database, MLflow would look models:/m-... up at the process's own tracking URI
            logged.files if is_database(self._registry_uri) else logged.source,
            run_id=logged.run_id,
            tags={**tags, EFFECT_TAG: effect_id},
            model_id=logged.model_id if logged.run_id else None,
        )
        # where two attempts raced, or a creation was answered to nobody and then repeated, the
        # older version counts; the other is known to nobody but this call
        first = self._effect(name, effect_id) or _version(made)
        if first.version != str(made.version):
            client.delete_model_version(name, str(made.version))
        return first

    @translated
    def tag_version(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Add tags to a version, replacing those of the same name.

        Raises:
            NotFound: The version does not exist.
        """
        self._resolved(f"models:/{name}/{version}")
        for key, value in tags.items():
            self._open().set_model_version_tag(name, version, key, value)

    @translated
    def load(self, uri: str) -> LoadedModel:
        """Load a model that scores data frames; the last few stay in memory.

        What the files say about themselves is checked before anything in them is unpacked.

        Args:
            uri: `models:/name/3`, `models:/name@alias`, `models:/m-...` or `runs:/<id>/<name>`.

        Raises:
            Refused: Loading it could run code, and `allow_pickle` is off.
            NotFound: The version, or the files behind it, are not there.
            InvalidData: The files are damaged.
        """
        client = self._open()
        if uri.startswith(("runs:/", "models:/m-")):
            files = find_logged_model(client, uri).files
            name, key = uri, (uri, files)
        else:
            found = self._resolved(uri)
            name = _version(found).uri
            # a deleted version's number can be given out again
            key = (name, str(found.creation_timestamp))
            files = client.get_model_version_download_uri(found.name, found.version)
            if files.startswith("models:/"):
                files = find_logged_model(client, files).files
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
        model = self._download(files, name)
        with self._lock:
            self._models[key] = model
            while len(self._models) > _MODELS_IN_MEMORY:
                self._models.popitem(last=False)
        return model

    def link(self, kind: str, **names: str) -> str | None:
        """The page of MLflow's server about a `run` (`run_id`) or a `version` (`name`, `version`).

        Returns:
            Its URL without credentials; None for a registry that is a database.
        """
        uri = self._tracking_uri if kind == "run" else self._registry_uri
        if not uri.startswith(("http://", "https://")):
            return None
        page = without_credentials(uri).rstrip("/") + "/#"
        if kind == "run":
            return f"{page}/runs/{quote(names['run_id'])}"
        if kind == "version":
            model = quote(names["name"], safe="")
            return f"{page}/models/{model}/versions/{quote(names['version'])}"
        raise InvalidStep(f"MLflow has no page about a {kind!r}.", hint="ask for run or version")

    @translated
    def ping(self) -> str:
        """One sentence about the registry; raises Unreachable where it does not answer."""
        import mlflow

        client = self._open()
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        return f"MLflow answers at {self.where} (client {mlflow.__version__})."

    def _open(self) -> Any:
        """The client, made at the first call: making it opens, and may migrate, the database."""
        with self._lock:
            if self._client is None:
                from mlflow import MlflowClient

                with ExitStack() as doors:
                    # in one order, so that two processes cannot wait for each other
                    for uri in sorted({self._tracking_uri, self._registry_uri}):
                        doors.enter_context(opening(uri, timeout_seconds=self.timeout_seconds))
                    client = MlflowClient(
                        tracking_uri=self._tracking_uri, registry_uri=self._registry_uri
                    )
                    client.search_registered_models(max_results=1)
                self._client = client
            return self._client

    def _registered(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._open().get_registered_model(name)
        except MlflowException as error:
            if error.error_code != _MISSING:
                raise
            return None

    def _ensure_registered(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        if self._registered(name) is not None:
            return
        try:
            self._open().create_registered_model(name)
        except MlflowException as error:
            if error.error_code not in _TAKEN:  # else another worker was faster
                raise

    def _resolved(self, uri: str) -> Any:
        from mlflow.exceptions import MlflowException

        wanted = parse_registered(uri)
        model = self._registered(wanted.name)
        version = wanted.version
        if wanted.alias is not None:
            version = None if model is None else model.aliases.get(wanted.alias)
        if model is not None and version is not None:
            try:
                return self._open().get_model_version(wanted.name, str(version))
            except MlflowException as error:
                if error.error_code != _MISSING:
                    raise
        raise NotFound(
            f"{uri} does not exist in the registry at {self.where}.", hint=self._offer(model)
        )

    def _offer(self, model: Any) -> str:
        if model is None:
            return "register a first version of it, or correct the name"
        found = self._open().search_model_versions(f"name = {quoted(model.name)}")
        versions = sorted((str(each.version) for each in found), key=int)[-10:]
        aliases = [f"@{alias} -> {number}" for alias, number in sorted(model.aliases.items())]
        return f"choose one that exists: {', '.join([*aliases, *versions]) or 'there is none yet'}"

    def _effect(self, name: str, effect_id: str) -> ModelVersion | None:
        found = self._open().search_model_versions(
            f"name = {quoted(name)} and tags.`{EFFECT_TAG}` = {quoted(effect_id)}"
        )
        first = min(found, key=lambda each: int(each.version), default=None)
        return None if first is None else _version(first)

    def _download(self, files: str, name: str) -> LoadedModel:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        with TemporaryDirectory(prefix="backbeat-model-") as scratch:
            # a copy of our own, so that what was checked is what is loaded
            try:
                folder = download_artifacts(
                    artifact_uri=files, dst_path=scratch, tracking_uri=self._tracking_uri
                )
            except (MlflowException, FileNotFoundError) as error:
                if getattr(error, "error_code", _MISSING) != _MISSING:
                    raise
            else:
                return read_model(Path(folder), name=name, allow_pickle=self._allow_pickle)
        raise NotFound(
            f"{name} is known to MLflow, but its files at {without_credentials(files)} are gone.",
            hint="make that place reachable from this host, or register the model again",
        )


def _version(found: Any) -> ModelVersion:
    return ModelVersion(
        name=found.name,
        version=str(found.version),
        uri=f"models:/{found.name}/{found.version}",
        run_id=found.run_id or None,
        tags=dict(found.tags),
    )
