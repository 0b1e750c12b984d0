"""A TorchServe handler that takes a request's body as it is, like TorchServe's own of images."""

from __future__ import annotations

from typing import Any

from media_facts import facts


class Media:
    def initialize(self, context: Any) -> None:
        """Nothing to load."""
        self.initialized = True

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[Any]:
        """Length, digest, width and height of each request's bytes."""
        return [facts(bytes(request.get("data") or request.get("body"))) for request in data]
