"""Long remote jobs: submitted once, found again after a worker's death, collected, or cancelled."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.inference.jobs.load import Load
    from backbeat.inference.jobs.policy import JobPolicy
    from backbeat.inference.jobs.server import Finding, JobServer, JobState, JobStatus
    from backbeat.inference.jobs.servers import job_server, parse_job_address

__all__ = [
    "Finding",
    "JobPolicy",
    "JobServer",
    "JobState",
    "JobStatus",
    "Load",
    "job_server",
    "parse_job_address",
]

_HOMES = {
    "Finding": "server",
    "JobPolicy": "policy",
    "JobServer": "server",
    "JobState": "server",
    "JobStatus": "server",
    "Load": "load",
    "job_server": "servers",
    "parse_job_address": "servers",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"backbeat.inference.jobs.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'backbeat.inference.jobs' has no attribute {name!r}")
