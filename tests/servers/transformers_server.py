"""`transformers serve`: a real language model on the CPU, tiny and untrained, made on the spot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from serving import HERE, Served, answers, environment, serve

from flights.processes import free_ports

NAME = "transformers"
TABULAR = False
LABELS = ("chat",)

_MODEL = "backbeat/llama"


def start(folder: Path) -> Served:
    """Make the model and serve it."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    programs = environment(NAME) / "bin"
    settings = {
        # nothing of the machine's own cache is listed or loaded
        "HF_HOME": str(folder / "home"),
        "HF_HUB_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    subprocess.run(
        [programs / "python", HERE / "served" / "save_transformers_llama.py", folder / "cache"],
        env={**os.environ, **settings},
        check=True,
        capture_output=True,
    )
    return serve(
        [
            programs / "transformers",
            "serve",
            _MODEL,
            "--host=127.0.0.1",
            f"--port={port}",
            "--device=cpu",
        ],
        folder,
        {"chat": f"openai+{origin}/v1/chat/completions?model={_MODEL}"},
        lambda: answers(f"{origin}/health"),
        settings,
    )
