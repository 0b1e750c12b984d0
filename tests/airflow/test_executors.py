"""Which executors spread tasks over hosts that share no disk."""

from __future__ import annotations

import sys

import pytest

from backbeat_provider.executors import spreading_executor

_CELERY = "airflow.providers.celery.executors.celery_executor"
_EDGE = "airflow.providers.edge3.executors.EdgeExecutor"


@pytest.mark.parametrize(
    ("configured", "found"),
    [
        ("LocalExecutor", None),
        ("airflow.executors.local_executor.LocalExecutor", None),
        ("near:airflow.executors.local_executor.LocalExecutor", None),
        ("their.own.ThreadExecutor", None),
        ("CeleryExecutor", "CeleryExecutor"),
        ("KubernetesExecutor", "KubernetesExecutor"),
        ("CeleryKubernetesExecutor", "CeleryKubernetesExecutor"),
        ("LocalExecutor,CeleryExecutor", "CeleryExecutor"),
        ("LocalExecutor, KubernetesExecutor", "KubernetesExecutor"),
        (f"LocalExecutor,far:{_CELERY}.CeleryExecutor", "CeleryExecutor"),
        ("far:KubernetesExecutor", "KubernetesExecutor"),
        (_EDGE, "EdgeExecutor"),
        ("their.own.CeleryExecutorWithTags", "CeleryExecutorWithTags"),
        ("LocalExecutor;night=CeleryExecutor", "CeleryExecutor"),
    ],
)
def test_it_reads_what_airflow_is_told(
    configured: str, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, class paths, aliases, lists and teams: one executor that spreads tasks is enough."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", configured)
    assert spreading_executor() == found


def test_it_imports_no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker need not have the provider of an executor that only the scheduler uses."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", f"{_CELERY}.CeleryExecutor")
    before = set(sys.modules)
    assert spreading_executor() == "CeleryExecutor"
    assert not [name for name in set(sys.modules) - before if "celery" in name]


@pytest.mark.parametrize(
    "variable", ["AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER"]
)
def test_it_knows_a_pod_from_inside(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its pod a task is told that the executor is local; who made the pod says otherwise."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv(variable, "True")
    assert spreading_executor() is not None
