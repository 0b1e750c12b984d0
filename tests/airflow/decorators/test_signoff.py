"""`@task.signoff`: a function's evidence, and people who decide about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk import DAG

from backbeat import Actor, embedded
from backbeat.errors import InvalidStep
from backbeat.signoff import read_request, vote
from backbeat_provider.decorators.signoff import signoff_task

Context = Callable[..., dict[str, Any]]


def _task(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    words = {"subject": "Go?", "quorum": 1, **settings}
    with DAG("asking", schedule=None):
        made = signoff_task(python_callable=function, task_id="ask", **words)(*arguments)
    return made.operator


def test_people_are_shown_what_it_returns(folder: Path, context: Context) -> None:
    """Arguments reach the function, a vote decides, and the task goes on from the ledger."""

    def gather(auc: float) -> dict[str, Any]:
        return {"auc": auc}

    task = _task(gather, 0.71, about={"model": "m"})
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context(task))
    request_id = deferred.value.trigger.request_id
    ledger = embedded(folder).ledger
    request = read_request(ledger, request_id).request
    assert dict(request.evidence) == {"auc": 0.71}
    vote(
        ledger,
        request_id,
        choice="approve",
        actor=Actor(id="grace", method="python"),
        evidence_digest=request.evidence_digest,
    )
    value = task.resume(context(task), {"request_id": request_id})
    assert (value["decision"], value["by"], value["model"]) == ("approved", ["grace"], "m")


@pytest.mark.parametrize("returned", [None, "0.71", [1, 2], {1: 2}])
def test_evidence_has_names(folder: Path, context: Context, returned: Any) -> None:
    """Anything else is no evidence, and no retry helps."""
    task = _task(lambda: returned)
    with pytest.raises(AirflowFailException, match="wants the evidence"):
        task.execute(context(task))


def test_a_wrong_literal_fails_while_the_file_is_parsed() -> None:
    """Not at night."""
    with pytest.raises(InvalidStep, match="quorum"):
        _task(lambda: {"auc": 0.7}, quorum=0)


@pytest.mark.usefixtures("airflow_database")
def test_airflow_knows_the_decorator() -> None:
    """With the provider installed, `@task.signoff` is there."""
    from airflow.sdk import task

    with DAG("known", schedule=None):

        @task.signoff(subject="Go?")
        def gather() -> dict[str, str]:
            return {}

        gather()
