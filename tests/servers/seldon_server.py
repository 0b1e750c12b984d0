"""Seldon Core v1: its Python wrapper around the model.

`seldon-core-microservice` listens on every interface and cannot be told otherwise, so that its
application is given here to gunicorn, which is what it does itself.
"""

from __future__ import annotations

from pathlib import Path

from serving import Served, answers, environment, serve

from flights.processes import free_ports

NAME = "seldon"
LABELS = ("rest",)


def start(folder: Path) -> Served:
    """Start the wrapper's REST server."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    return serve(
        [
            environment(NAME) / "bin" / "gunicorn",
            f"--bind=127.0.0.1:{port}",
            "--threads=10",
            "seldon_churn:app",
        ],
        folder,
        {"rest": f"seldon-v1+{origin}/api/v1.0/predictions"},
        lambda: answers(f"{origin}/health/status"),
    )
