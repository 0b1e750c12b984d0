"""What Airflow asks a provider about itself, answered without importing Airflow."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]

_OPERATORS = (
    "batch_inference",
    "build_profile",
    "compare_models",
    "drift_branch",
    "drift_check",
    "drift_gate",
    "inference",
    "log_lineage",
    "performance_check",
    "promote_model",
    "quality_check",
    "register_candidate",
    "signoff",
    "train_model",
)
_PACKAGE = "backbeat_provider"
_INTEGRATION = "backbeat"
_SCHEMAS: dict[str, dict[str, Any]] = {
    "allow_pickle": {"type": ["boolean", "null"]},
    "ledger_token": {"format": "password"},
}
_IN_AIRFLOW = {
    "ledger": "Or conn:<id>, a connection of type postgres: no password is stored here.",
}


def get_provider_info() -> dict[str, Any]:
    """The provider's parts, as `provider_info.schema.json` of Airflow wants them.

    Returns:
        JSON data; the connection's fields are made of `backbeat.wiring`'s own table of settings.
    """
    return {
        "package-name": "airflow-provider-backbeat",
        "name": "backbeat",
        "description": "The steps around a model: checked, drift-aware, signed-off, audited.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://github.com/backbeat-ml/backbeat",
                "tags": ["software"],
            }
        ],
        "operators": [
            _modules(*(f"{_PACKAGE}.operators.{name}" for name in _OPERATORS)),
        ],
        "hooks": [
            _modules(f"{_PACKAGE}.hooks.backbeat", f"{_PACKAGE}.hooks.model_endpoint"),
        ],
        "sensors": [
            _modules(f"{_PACKAGE}.sensors.model_ready", f"{_PACKAGE}.sensors.signoff"),
        ],
        "triggers": [
            _modules(
                f"{_PACKAGE}.triggers.job",
                f"{_PACKAGE}.triggers.model_ready",
                f"{_PACKAGE}.triggers.signoff",
            ),
        ],
        "connection-types": [
            {
                "connection-type": "backbeat",
                "hook-class-name": f"{_PACKAGE}.hooks.backbeat.BackbeatHook",
                "hook-name": "backbeat",
                "conn-fields": _connection_fields(),
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "login", "password", "port", "extra"],
                    "relabeling": {},
                    "placeholders": {"folder": "/srv/backbeat"},
                },
            },
            {
                "connection-type": "backbeat_model_endpoint",
                "hook-class-name": f"{_PACKAGE}.hooks.model_endpoint.ModelEndpointHook",
                "hook-name": "backbeat model endpoint",
                "conn-fields": {
                    "address": {
                        "label": "Address",
                        "description": "Such as oip+https://host/v2/models/churn.",
                        "schema": {"type": ["string", "null"]},
                    }
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "port"],
                    "relabeling": {"password": "Bearer token, or the login's password"},
                    "placeholders": {},
                },
            },
        ],
        "extra-links": [f"{_PACKAGE}.links.RunLink", f"{_PACKAGE}.links.ReportLink"],
        "task-decorators": [
            {"name": "candidate", "class-name": f"{_PACKAGE}.decorators.candidate.candidate_task"},
            {
                "name": "drift_check",
                "class-name": f"{_PACKAGE}.decorators.drift_check.drift_check_task",
            },
            {"name": "signoff", "class-name": f"{_PACKAGE}.decorators.signoff.signoff_task"},
        ],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": list(names)}


def _connection_fields() -> dict[str, Any]:
    # here and not above: importing this module must cost nothing
    from backbeat.wiring.settings import SETTINGS

    return {
        name: {
            "label": name.replace("_", " ").capitalize().replace("uri", "URI"),
            "description": f"{meaning} {_IN_AIRFLOW.get(name, '')}".rstrip(),
            "schema": {"type": ["string", "null"], **_SCHEMAS.get(name, {})},
        }
        for name, meaning in SETTINGS.items()
    }
