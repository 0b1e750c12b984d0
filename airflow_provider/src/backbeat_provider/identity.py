"""Who runs what, in Airflow's words: from a task's context to a RunIdentity."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backbeat.identity import Actor, RunIdentity

__all__ = ["run_identity"]


def run_identity(context: Mapping[str, Any]) -> RunIdentity:
    """The attempt that a task context describes.

    A retry keeps the run, a clear changes it: Airflow moves `max_tries` on a clear only, so what
    it has moved by tells the two apart.

    Args:
        context: The context that Airflow hands to `execute`.
    """
    ti = context["ti"]
    dag_run = context["dag_run"]
    moved = ti.max_tries - (ti.task.retries or 0)
    logical = context.get("logical_date")
    return RunIdentity(
        orchestrator="airflow",
        workflow=ti.dag_id,
        run=f"{ti.run_id}~{moved}" if moved else ti.run_id,
        task=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        partition=context.get("partition_key"),
        attempt=max(1, ti.try_number),
        # pendulum's own class would not survive a JSON round trip as itself
        logical_time=datetime.fromisoformat(logical.isoformat()) if logical else None,
        traceparent=_traceparent(),
        actor=_actor(dag_run),
        backfill=_run_type(dag_run) == "backfill",
    )


def _actor(dag_run: Any) -> Actor:
    user = getattr(dag_run, "triggering_user_name", None)
    if user and _run_type(dag_run) == "manual":
        return Actor(id=user, method="airflow")
    return Actor(id="airflow:scheduler", method="system")


def _run_type(dag_run: Any) -> str:
    kind = getattr(dag_run, "run_type", "")
    return str(getattr(kind, "value", kind))


def _traceparent() -> str | None:
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")
