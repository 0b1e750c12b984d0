"""BentoML: a service whose methods are endpoints."""

from __future__ import annotations

from pathlib import Path

from serving import Served, answers, environment, serve

from flights.processes import free_ports

NAME = "bentoml"
LABELS = ("array", "records")
MEDIA = ("media-files", "media-one", "media-body")


def start(folder: Path) -> Served:
    """Start the service as `bentoml serve` does on a laptop."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    return serve(
        [
            environment(NAME) / "bin" / "bentoml",
            "serve",
            "bentoml_churn:Churn",
            "--host=127.0.0.1",
            f"--port={port}",
        ],
        folder,
        {
            "array": f"bentoml+{origin}/classify",
            "records": f"bentoml+{origin}/explain",
            "media-files": f"bentoml+{origin}/many",
            "media-one": f"bentoml+{origin}/one",
            "media-body": f"bentoml+{origin}/body",
        },
        lambda: answers(f"{origin}/readyz"),
        {"BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "true"},
    )
