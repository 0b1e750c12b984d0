"""Seldon's MLServer: the Open Inference Protocol over REST, in JSON alone, and over gRPC."""

from __future__ import annotations

import json
from pathlib import Path

import models
from serving import Served, answers, environment, serve

from flights.processes import free_ports

NAME = "mlserver"
LABELS = ("http", "grpc")
MEDIA = ("media-grpc", "media-json")


def start(folder: Path) -> Served:
    """Start it and wait until the model answers."""
    http, grpc, metrics = free_ports(3)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": models.NAME,
        "implementation": "mlserver_churn.Churn",
        "inputs": [{"name": "rows", "datatype": "FP64", "shape": [-1, len(models.FEATURES)]}],
        "outputs": [{"name": "score", "datatype": "FP64", "shape": [-1, 1]}],
    }
    media = {
        "name": "media",
        "implementation": "mlserver_media.Media",
        "inputs": [{"name": "scan", "datatype": "BYTES", "shape": [-1]}],
    }
    for settings in (model, media):
        home = folder / settings["name"]
        home.mkdir()
        (home / "model-settings.json").write_text(json.dumps(settings))
    origin = f"http://127.0.0.1:{http}"
    return serve(
        [environment(NAME) / "bin" / "mlserver", "start", "."],
        folder,
        {
            "http": f"oip+{origin}/v2/models/{models.NAME}",
            "grpc": f"oip+grpc://127.0.0.1:{grpc}/{models.NAME}",
            "media-json": f"oip+{origin}/v2/models/media",
            "media-grpc": f"oip+grpc://127.0.0.1:{grpc}/media",
        },
        lambda: all(answers(f"{origin}/v2/models/{name}/ready") for name in (models.NAME, "media")),
    )
