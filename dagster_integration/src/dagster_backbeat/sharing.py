"""What launches runs and steps where no disk is shared: there a SQLite ledger is refused.

Each pod or container would have a ledger of its own, in which every claim succeeds. They are told
by the packages that they come from, without importing any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from backbeat.wiring import SETTINGS
from backbeat.wiring.sharing import refuse_unshared

__all__ = ["refuse_unshared_executor", "refuse_unshared_launcher"]

_PACKAGES = (
    "dagster_aws.ecs",
    "dagster_celery",
    "dagster_celery_docker",
    "dagster_celery_k8s",
    "dagster_dask",
    "dagster_docker",
    "dagster_k8s",
)
_LAUNCHERS = {"CeleryK8sRunLauncher", "DockerRunLauncher", "EcsRunLauncher", "K8sRunLauncher"}


def refuse_unshared_launcher(settings: Mapping[str, Any], instance: dg.DagsterInstance) -> None:
    """Refuse a SQLite ledger or registry where the instance's runs share no disk.

    Args:
        settings: The platform's, as `BackbeatResource` has them.
        instance: Whose run launcher it is.

    Raises:
        UnmetNeed: Names the launcher and what to set instead.
    """
    launcher = _launcher(instance)
    if launcher is not None:
        refuse_unshared(_known(settings), launcher=launcher)


def refuse_unshared_executor(
    settings: Mapping[str, Any], executor: dg.ExecutorDefinition | None
) -> None:
    """Refuse a SQLite ledger or registry where a job's steps share no disk.

    Args:
        settings: The platform's, as `BackbeatResource` has them; what an `EnvVar` will say is not
            known while definitions load.
        executor: The job's, where it has one of its own.

    Raises:
        UnmetNeed: Names the executor and what to set instead.
    """
    creation = executor.executor_creation_fn if executor else None
    if executor is not None and _is_foreign(getattr(creation, "__module__", "")):
        refuse_unshared(_known(settings), launcher=f"the executor {executor.name!r}")


def _launcher(instance: dg.DagsterInstance) -> str | None:
    if instance.is_persistent:
        # as dagster.yaml names it: building it may take a cluster that this process cannot reach
        data = instance.get_ref().run_launcher_data
        if data is None or data.module_name.split(".")[0] == "dagster":
            return None
        if _is_foreign(data.module_name):
            return str(data.class_name)
    kinds = type(instance.run_launcher).__mro__
    found = [cls for cls in kinds if _is_foreign(cls.__module__) or cls.__name__ in _LAUNCHERS]
    return kinds[0].__name__ if found else None


def _is_foreign(module: str) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in _PACKAGES)


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    # an EnvVar may yet name PostgreSQL: only a run can tell
    return {
        name: "none" if isinstance(settings[name], dg.EnvVar) else settings[name]
        for name in SETTINGS
    }
