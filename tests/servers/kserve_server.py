"""KServe's SDK server: its V1 protocol with rows as lists and records, and V2 in all its forms."""

from __future__ import annotations

from pathlib import Path

from serving import HERE, Served, answers, environment, serve

from flights.processes import free_ports

NAME = "kserve"
LABELS = ("v1", "v1-records", "v2", "v2-binary", "v2-grpc")
MEDIA = ("media-v1", "media-v1-records", "media-text-only", "media-grpc")


def start(folder: Path) -> Served:
    """Start it and wait until the model answers."""
    http, grpc = free_ports(2)
    origin = f"http://127.0.0.1:{http}"
    model = f"kserve-v1+{origin}/v1/models/churn"
    return serve(
        [
            *(environment(NAME) / "bin" / "python", HERE / "served" / "kserve_churn.py"),
            *("--host=127.0.0.1", f"--http_port={http}"),
            f"--grpc_port={grpc}",
        ],
        folder,
        {
            "v1": model,
            "v1-records": f"{model}:predict?rows=records",
            "v2": f"oip+{origin}/v2/models/churn",
            "v2-binary": f"oip+{origin}/v2/models/churn?binary=yes",
            "v2-grpc": f"oip+grpc://127.0.0.1:{grpc}/churn",
            "media-v1": f"kserve-v1+{origin}/v1/models/media",
            "media-v1-records": f"kserve-v1+{origin}/v1/models/media?rows=records",
            "media-text-only": f"oip+{origin}/v2/models/media?binary=yes",
            "media-grpc": f"oip+grpc://127.0.0.1:{grpc}/media",
        },
        lambda: answers(f"{origin}/v1/models/churn"),
    )
