"""`doctor`: is everything there, writable, intact, and which rung is this?"""

from __future__ import annotations

import importlib.metadata
import platform as machine
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from backbeat.cli.output import AsJson, ExitCode, answering, print_facts, print_json, print_table
from backbeat.cli.session import Session
from backbeat.errors import BackbeatError
from backbeat.platform import Platform
from backbeat.ports import Need
from backbeat.telemetry import redact

if TYPE_CHECKING:
    from backbeat.ledger.examine import Finding

__all__ = ["doctor"]

_LIBRARIES = (
    "pydantic",
    "sqlalchemy",
    "pyarrow",
    "numpy",
    "pandas",
    "openlineage-python",
    "mlflow-skinny",
    "mlflow",
    "great-expectations",
)


@answering
def doctor(context: typer.Context, *, as_json: AsJson = False) -> ExitCode:
    """Check the store, the ledger, the audit log, the outbox and the registry."""
    session: Session = context.obj
    platform = session.platform()
    findings = [_found("store", lambda: _store(platform))]
    if Need.LEDGER in platform.offers:
        findings += _ledger(platform)
    if Need.REGISTRY in platform.offers:
        findings.append(_found("registry", platform.registry.ping))
    ok = all(finding.ok for finding in findings)
    document = {
        "ok": ok,
        "platform": platform.description,
        "rung": _rung(session.settings()),
        "offers": sorted(need.value for need in platform.offers),
        "findings": [asdict(finding) for finding in findings],
        "python": machine.python_version(),
        "libraries": _versions(),
    }
    if as_json:
        print_json(document)
    else:
        print_facts({name: document[name] for name in ("platform", "rung", "python")})
        print_table(
            ["", "what", "seen"],
            [("ok" if item.ok else "WRONG", item.name, item.detail) for item in findings],
            empty="",
        )
        print_facts(_versions())
    return ExitCode.OK if ok else ExitCode.FAILED


def _rung(settings: Mapping[str, str]) -> int:
    ledger = settings["ledger"]
    if ledger == "none":
        return 0
    if ledger.startswith(("http://", "https://")):
        return 3
    return 2 if ledger.startswith(("postgres://", "postgresql://")) else 1


def _found(name: str, look: Callable[[], str]) -> Finding:
    from backbeat.ledger.examine import Finding

    try:
        return Finding(name, ok=True, detail=look())
    except BackbeatError as error:
        return Finding(name, ok=False, detail=redact(str(error)))
    except OSError as error:
        return Finding(name, ok=False, detail=redact(f"{type(error).__name__}: {error}"))


def _store(platform: Platform) -> str:
    probe = f"doctor-{secrets.token_hex(8)}"
    platform.store.write(probe, b"backbeat")
    platform.store.delete(probe)
    return "writable"


def _ledger(platform: Platform) -> list[Finding]:
    from backbeat.ledger.examine import Finding, examine

    try:
        return examine(platform.ledger)
    except BackbeatError as error:
        return [Finding("ledger", ok=False, detail=redact(str(error)))]


def _versions() -> dict[str, str]:
    found = {}
    for name in ("backbeat", *_LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
