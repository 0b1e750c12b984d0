"""NVIDIA's Triton with its Python backend: REST with tensors as bytes and in JSON, and gRPC.

PyTriton's wheel brings the server; it wants the system's own Python 3.11.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import models
from serving import HERE, Served, answers, environment, serve

from flights.processes import free_ports

NAME = "triton"
LABELS = ("binary", "json", "grpc")
MEDIA = ("media-binary", "media-grpc", "media-json")

_CONFIG = """
name: "{name}"
backend: "python"
max_batch_size: 4096
input [ {{ name: "rows" data_type: TYPE_FP64 dims: [ {features} ] }} ]
output [ {{ name: "score" data_type: TYPE_FP64 dims: [ 1 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
"""
_MEDIA_CONFIG = """
name: "media"
backend: "python"
max_batch_size: 256
input [ { name: "scan" data_type: TYPE_STRING dims: [ 1 ] } ]
output [
  { name: "sha256" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "bytes" data_type: TYPE_INT64 dims: [ 1 ] },
  { name: "width" data_type: TYPE_INT64 dims: [ 1 ] },
  { name: "height" data_type: TYPE_INT64 dims: [ 1 ] }
]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


def start(folder: Path) -> Served:
    """Start it and wait until the model answers."""
    http, grpc, metrics = free_ports(3)
    home = environment(NAME)
    (wheel,) = (home / "lib").glob("python3.11/site-packages/pytriton")
    repository = folder / "repository"
    version = repository / models.NAME / "1"
    version.mkdir(parents=True)
    shutil.copy(HERE / "served" / "triton_churn.py", version / "model.py")
    # the backend has a path of its own
    shutil.copy(HERE / "models.py", version)
    config = _CONFIG.format(name=models.NAME, features=len(models.FEATURES))
    (repository / models.NAME / "config.pbtxt").write_text(config)
    media = repository / "media" / "1"
    media.mkdir(parents=True)
    shutil.copy(HERE / "served" / "triton_media.py", media / "model.py")
    shutil.copy(HERE / "served" / "media_facts.py", media)
    (repository / "media" / "config.pbtxt").write_text(_MEDIA_CONFIG)
    backends = folder / "backends"
    shutil.copytree(wheel / "tritonserver" / "backends", backends)
    for stub in (wheel / "tritonserver" / "python_backend_stubs" / "3.11").iterdir():
        shutil.copy(stub, backends / "python")
    libraries = [wheel.parent / "nvidia_pytriton.libs", wheel / "tritonserver" / "external_libs"]
    origin = f"http://127.0.0.1:{http}"
    return serve(
        [
            wheel / "tritonserver" / "bin" / "tritonserver",
            *("--model-repository", repository, "--backend-directory", backends),
            *("--http-address", "127.0.0.1", "--http-port", str(http)),
            *("--grpc-address", "127.0.0.1", "--grpc-port", str(grpc)),
            *("--metrics-address", "127.0.0.1", "--metrics-port", str(metrics)),
        ],
        folder,
        {
            "binary": f"oip+{origin}/v2/models/{models.NAME}",
            "json": f"oip+{origin}/v2/models/{models.NAME}?binary=no",
            "grpc": f"oip+grpc://127.0.0.1:{grpc}/{models.NAME}",
            "media-binary": f"oip+{origin}/v2/models/media",
            "media-json": f"oip+{origin}/v2/models/media?binary=no",
            "media-grpc": f"oip+grpc://127.0.0.1:{grpc}/media",
        },
        lambda: answers(f"{origin}/v2/models/{models.NAME}/ready"),
        {
            "LD_LIBRARY_PATH": os.pathsep.join(str(path) for path in libraries),
            "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(home),
        },
    )
