"""TorchServe: a model archive, the Java frontend (Java 17 or newer) and one Python worker."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

import models
from serving import HERE, Served, environment, serve

from flights.processes import free_ports

NAME = "torchserve"
LABELS = ("rest",)
MEDIA = ("media-raw",)


def start(folder: Path) -> Served:
    """Archive the model and serve it; ready when a worker of it is."""
    inference, management, metrics, grpc, grpc_management = free_ports(5)
    programs = environment(NAME) / "bin"
    store = folder / "store"
    store.mkdir(parents=True)
    served = HERE / "served"
    for name, more in ((models.NAME, models.__file__), ("media", served / "media_facts.py")):
        subprocess.run(
            [
                programs / "torch-model-archiver",
                f"--model-name={name}",
                f"--version={models.VERSION}",
                f"--handler={served / f'torchserve_{name}.py'}",
                f"--extra-files={more}",
                f"--export-path={store}",
            ],
            check=True,
            capture_output=True,
        )
    settings = folder / "config.properties"
    settings.write_text(
        f"inference_address=http://127.0.0.1:{inference}\n"
        f"management_address=http://127.0.0.1:{management}\n"
        f"metrics_address=http://127.0.0.1:{metrics}\n"
        "grpc_inference_address=127.0.0.1\n"
        "grpc_management_address=127.0.0.1\n"
        f"grpc_inference_port={grpc}\n"
        f"grpc_management_port={grpc_management}\n"
        "default_workers_per_model=1\n"
        "disable_token_authorization=true\n"
    )
    origin = f"http://127.0.0.1:{inference}"
    about = f"http://127.0.0.1:{management}"

    def ready() -> bool:
        return all(_has_worker(f"{about}/models/{name}") for name in (models.NAME, "media"))

    return serve(
        [
            programs / "torchserve",
            "--start",
            "--foreground",
            "--ncs",
            "--disable-token-auth",
            f"--model-store={store}",
            "--models",
            f"{models.NAME}={models.NAME}.mar",
            "media=media.mar",
            f"--ts-config={settings}",
        ],
        folder,
        {
            "rest": f"torchserve+{origin}/predictions/{models.NAME}?management={about}",
            "media-raw": f"torchserve+{origin}/predictions/media?rows=raw&management={about}",
        },
        ready,
        {"TEMP": str(folder), "TMPDIR": str(folder), "LOG_LOCATION": str(folder / "logs")},
    )


def _has_worker(question: str) -> bool:
    try:
        # S310: it is on the loopback address
        with urllib.request.urlopen(question, timeout=5) as answer:  # noqa: S310
            described = json.load(answer)
    except OSError:
        return False
    return any(worker["status"] == "READY" for worker in described[0]["workers"])
