"""LiteLLM's proxy: its keys, its router and its errors are real, what the models say is not."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from pathlib import Path

from serving import Served, answers, environment, serve

from flights.processes import free_ports

NAME = "litellm"
TABULAR = False
LABELS = ("chat", "facts", "limited", "long", "filtered", "broken", "embeddings")
MEDIA = ("documents",)

# what LiteLLM takes for an answer, or for an error of the provider behind it
_SAYS = {
    "chat": "It departs late.",
    "facts": '{"minutes": 12, "label": "late"}',
    "limited": "litellm.RateLimitError",
    "long": "litellm.ContextWindowExceededError",
    "filtered": "Exception: content_filter_policy",
    "broken": "litellm.InternalServerError",
}


def start(folder: Path) -> Served:
    """Start the proxy without a database and without any provider."""
    (port,) = free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    key = f"sk-{secrets.token_urlsafe(24)}"
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML
    (folder / "config.yaml").write_text(json.dumps(_config()))
    served = serve(
        [
            environment(NAME) / "bin" / "litellm",
            "--config=config.yaml",
            "--host=127.0.0.1",
            f"--port={port}",
            "--telemetry=False",
        ],
        folder,
        {
            label: f"openai+{origin}/v1/chat/completions?model={label}"
            for label in LABELS
            if label != "embeddings"
        }
        | {
            "embeddings": f"openai+{origin}/v1/embeddings?model=texts",
            "documents": f"openai+{origin}/v1/chat/completions?model=documents",
        },
        lambda: answers(f"{origin}/health/readiness"),
        {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    return replace(served, key=key)


def _config() -> object:
    models = {
        label: {"model": "openai/none", "api_key": "none", "mock_response": said}
        for label, said in _SAYS.items()
    }
    models["texts"] = {"model": "backbeat/texts"}
    models["documents"] = {"model": "backbeat/documents"}
    return {
        "model_list": [
            {"model_name": name, "litellm_params": params} for name, params in models.items()
        ],
        "litellm_settings": {
            "custom_provider_map": [
                {"provider": "backbeat", "custom_handler": "litellm_texts.provider"}
            ]
        },
        # an error is the test's to see, not the router's to hide
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
