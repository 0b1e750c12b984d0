"""Real parts for tests, ours and yours: what they stand for is served for real, on loopback."""

from __future__ import annotations

from backbeat.testing.job_server import BatchServer, batch_server
from backbeat.testing.model_server import ModelServer, model_server

__all__ = ["BatchServer", "ModelServer", "batch_server", "model_server"]
