"""The process of one run, which a test may stop or kill; and waiting for what it does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.execution.api import execute_run
from dagster._utils.hosted_user_process import recon_job_from_origin

DEADLINE_SECONDS = 120.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until something is true."""
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {DEADLINE_SECONDS:.0f} s")


class Worker:
    """The process of one run."""

    def __init__(self, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
        self.run_id = run.run_id
        self._instance = instance
        self.is_over = False
        self.pid = os.fork()
        if self.pid == 0:
            try:
                execute_run(recon_job_from_origin(run.job_code_origin), run, instance)
            finally:
                os._exit(0)

    def is_stopped(self) -> bool:
        """Whether it has stopped itself."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def lost(self) -> None:
        """Say what the run monitor says of a run whose worker does not answer."""
        run = self._instance.get_run_by_id(self.run_id)
        assert run is not None
        self._instance.report_run_failed(run, "the run's worker is gone")

    def end(self) -> bool:
        """Wait for its end, and tell Dagster where it was killed; returns whether the run is well.

        A run that had ended before stays as Dagster knows it.
        """
        os.waitpid(self.pid, 0)
        self.is_over = True
        run = self._instance.get_run_by_id(self.run_id)
        assert run is not None
        if not run.is_finished:
            self.lost()
        ended = self._instance.get_run_by_id(self.run_id)
        return ended is not None and ended.status is DagsterRunStatus.SUCCESS
