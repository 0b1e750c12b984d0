"""Real parts for tests, ours and yours: what they stand for is served for real, on loopback."""

from __future__ import annotations

from backbeat.testing.job_server import BatchServer, batch_server
from backbeat.testing.model_server import ModelServer, model_server
from backbeat.testing.slack_server import SlackServer, slack_server
from backbeat.testing.smtp_server import Letter, SmtpServer, smtp_server

__all__ = [
    "BatchServer",
    "Letter",
    "ModelServer",
    "SlackServer",
    "SmtpServer",
    "batch_server",
    "model_server",
    "slack_server",
    "smtp_server",
]
