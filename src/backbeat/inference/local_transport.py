"""Runs a model in a thread of this process, in the place of carrying requests to a server.

A registered model comes from the registry as batch scoring's does, a folder is read as the
registry reads its own: what would run code of its author when it is loaded is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from backbeat.errors import BackbeatError, NotFound, UnmetNeed, Unreachable, UserCodeFailed
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.ports import Registry

__all__ = ["LocalTransport"]

_TRACKING = "MLFLOW_TRACKING_URI"
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model, and what it is called."""

    model: Any
    name: str
    version: str


class LocalTransport:
    """Answers requests by a model that is loaded once, with the first of them.

    One request at a time: whether a model can be asked by two threads is nobody's to know.

    Args:
        endpoint: The model's address, `models:/…` or `file:///…`.
        registry: Opens the registry; the one at `MLFLOW_TRACKING_URI` where None.
    """

    def __init__(
        self, endpoint: Endpoint, *, registry: Callable[[], Registry] | None = None
    ) -> None:
        self._endpoint = endpoint
        self._registry = registry or _registry
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backbeat-model")
        self._loaded: _Loaded | None = None

    async def send(self, request: Request, *, seconds: float) -> Response:
        """Ask the model.

        Args:
            request: `READY`, `DESCRIBE` or `PREDICT` with an IPC stream.
            seconds: To wait; a model that takes longer goes on, and what comes next waits for it.

        Raises:
            Unreachable: It took longer, or the registry did not answer; a retry can help.
            NotFound: There is no such model.
            Refused: Loading it could run code of its author.
            ContractBroken: It does not take these rows.
            UserCodeFailed: The model raised.
            UnmetNeed: There is no registry to take it from.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                return await loop.run_in_executor(self._thread, self._answer, request)
        except TimeoutError as error:
            raise Unreachable(
                f"{self._endpoint.address} did not answer within {seconds:.3g} s.",
                hint="give it more time, or fewer rows in a request",
            ) from error

    async def aclose(self) -> None:
        """Let the model go; a prediction that is being made ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: Request) -> Response:
        if self._loaded is None:
            self._loaded = self._load()
        found = self._loaded
        if request.method == "READY":
            return Response(status=0)
        if request.method == "DESCRIBE":
            described = {
                "name": found.name,
                "version": found.version,
                "server": "",
                "columns": list(found.model.columns or ()),
            }
            return Response(status=0, body=json.dumps(described).encode())
        from backbeat.inference.protocols.in_process import as_stream, read_stream

        rows = read_stream(b"".join(request.body) if len(request.body) > 1 else request.body[0])
        outputs = self._predicted(found, rows)
        return Response(
            status=0, headers={"version": found.version}, body=memoryview(as_stream(outputs))
        )

    def _predicted(self, found: _Loaded, rows: pa.RecordBatch) -> pa.RecordBatch:
        from backbeat.inference.outputs import outputs_of

        try:
            prediction = found.model.predict(rows.to_pandas())
        except BackbeatError:
            raise
        except Exception as error:
            # its text may quote the rows
            raise UserCodeFailed(
                f"{self._endpoint.address} raised {type(error).__name__}.",
                hint="ask it about these rows by hand",
            ) from error
        return outputs_of(self._endpoint, prediction, rows.num_rows)

    def _load(self) -> _Loaded:
        address = self._endpoint.address
        if address.startswith("models:/"):
            registry = self._registry()
            version = registry.resolve(address)
            return _Loaded(registry.load(version.uri), version.name, version.version)
        return _from_folder(Path(self._endpoint.path), address)


def _from_folder(folder: Path, address: str) -> _Loaded:
    from backbeat.registry.model_files import read_model

    if not (folder / "MLmodel").is_file():
        raise NotFound(
            f"{address} is no folder with an MLmodel file.",
            hint="name the folder that mlflow's save_model has written",
        )
    with TemporaryDirectory(prefix="backbeat-model-") as scratch:
        # a copy of our own, so that what was checked is what is loaded
        mine = Path(scratch) / "model"
        copytree(folder, mine)
        model = read_model(mine, name=address, allow_pickle=False)
        return _Loaded(model, folder.name, _digest(mine))


def _digest(folder: Path) -> str:
    """Names what the files hold, as a version does."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(f"{path.relative_to(folder)}\0".encode())
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:_DIGITS]


def _registry() -> Registry:
    from backbeat.registry import MlflowRegistry

    uri = os.environ.get(_TRACKING, "")
    if not uri:
        raise UnmetNeed(
            f"a registered model needs a registry, and {_TRACKING} is not set",
            hint=f"set {_TRACKING}, or open the client by `connect(address, registry=…)`",
        )
    return MlflowRegistry(tracking_uri=uri)
