"""Buttons on a task: the model registry's page, and the step's report."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink

__all__ = ["ReportLink", "RunLink"]


class RunLink(BaseOperatorLink):  # type: ignore[misc]
    """The run or version in the model registry that the task has made."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page's address; empty where the registry has no pages.

        Airflow asks in the worker once the task has ended and keeps the answer as an XCom.
        """
        return str(getattr(operator, "links", {}).get("run") or "")


class ReportLink(BaseOperatorLink):  # type: ignore[misc]
    """The HTML report that the task has written into the store."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The file's URI; empty where no report was written."""
        return str(getattr(operator, "links", {}).get("report") or "")
