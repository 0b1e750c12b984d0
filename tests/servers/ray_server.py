"""Ray Serve: one application at a route."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from serving import HERE, Served, environment, serve

from flights.processes import free_ports

NAME = "ray"
LABELS = ("route",)


def start(folder: Path) -> Served:
    """Start a Ray of its own with Serve in it; ready when the application has its route."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            # S310: it is on the loopback address
            with urllib.request.urlopen(f"{origin}/-/routes", timeout=5) as answer:  # noqa: S310
                return "/churn" in json.load(answer)
        except OSError:
            return False

    return serve(
        [environment(NAME) / "bin" / "python", HERE / "served" / "ray_churn.py", str(port)],
        folder,
        {"route": f"ray-serve+{origin}/churn"},
        ready,
        {"RAY_USAGE_STATS_ENABLED": "0"},
    )
