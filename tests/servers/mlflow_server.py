"""MLflow's scoring server around a saved model."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from serving import HERE, Served, answers, environment, serve

from flights.processes import free_ports

NAME = "mlflow"
LABELS = ("rest",)


def start(folder: Path) -> Served:
    """Save the model and serve it from this server's own environment."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    programs = environment(NAME) / "bin"
    model = folder / "model"
    subprocess.run(
        [programs / "python", HERE / "served" / "save_mlflow_churn.py", model],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        check=True,
        capture_output=True,
    )
    return serve(
        [
            programs / "mlflow",
            "models",
            "serve",
            f"--model-uri={model}",
            "--env-manager=local",
            "--host=127.0.0.1",
            f"--port={port}",
            "--workers=1",
        ],
        folder,
        {"rest": f"mlflow+{origin}/invocations"},
        lambda: answers(f"{origin}/ping"),
    )
