"""Real parts for tests, ours and yours: what they stand for is served for real, on loopback."""

from __future__ import annotations

from backbeat.testing.model_server import ModelServer, model_server

__all__ = ["ModelServer", "model_server"]
