"""What the commands about drift share: a monitor by name, rules from a file, a decision shown."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from pydantic import BaseModel

from backbeat.cli.output import ExitCode, print_json, print_line, print_table
from backbeat.cli.places import place, read_profile
from backbeat.cli.session import Session
from backbeat.errors import InvalidStep, NotFound

if TYPE_CHECKING:
    from backbeat.drift import Decision, Profile, RetrainPolicy, Rules
    from backbeat.drift.history import Monitor

__all__ = [
    "known_column",
    "monitor_at",
    "near",
    "number",
    "policy_from",
    "print_decision",
    "reference_profile",
    "rules_from",
    "say",
]

Settings = TypeVar("Settings", bound=BaseModel)
_STOPS = {"drifted", "broken", "insufficient_data"}


def monitor_at(context: typer.Context, name: str) -> Monitor:
    """A monitor by its prefix, path or URI; it need not have a reference yet."""
    from backbeat.drift.history import Monitor

    found = place(context, name)
    return Monitor(found.store, found.key)


def known_column(column: str, monitor: Monitor) -> None:
    """Refuse a column that a monitor does not watch, naming what is like it."""
    names = list(monitor.reference().columns)
    if column not in names:
        raise NotFound(
            f"{monitor.prefix} watches no column {column!r}",
            hint=near(column, names) or f"it watches {', '.join(names)}",
        )


def near(name: str, names: Iterable[str]) -> str:
    """`did you mean …?`; empty where nothing is like it."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {found[0]}?" if found else ""


def reference_profile(context: typer.Context, name: str) -> Profile:
    """A profile by its key, path or URI, or the one that is bound to `models:/…`.

    Raises:
        NotFound: There is none.
    """
    if not name.startswith("models:/"):
        return read_profile(context, name)
    from backbeat.steps.profile_reference import profile_key

    session: Session = context.obj
    key = profile_key(session.platform(), name)
    if key is None:
        raise NotFound(
            f"{name} does not exist yet: there is nothing to compare with",
            hint="see whether its name is right, or name a profile",
        )
    return read_profile(context, key)


def rules_from(name: str) -> Rules:
    """The rules of a JSON file.

    Raises:
        InvalidStep: It is not JSON, or has an unknown rule or a value out of range.
    """
    from backbeat.drift import Rules

    return _from_file(name, Rules, what="rules", example='{"effect_floor": 0.1}')


def policy_from(name: str) -> RetrainPolicy:
    """The policy for retraining of a JSON file; raises InvalidStep like `rules_from`."""
    from backbeat.drift import RetrainPolicy

    return _from_file(name, RetrainPolicy, what="policy", example='{"after": 2}')


def _from_file(name: str, kind: type[Settings], *, what: str, example: str) -> Settings:
    from pydantic import ValidationError

    try:
        return kind.model_validate(json.loads(Path(name).read_text(encoding="utf-8")))
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        known = f"there are {', '.join(kind.model_fields)}"
        raise InvalidStep(
            f"{name} holds no {what}: {field}: {first['msg']}",
            hint=near(field, set(kind.model_fields) - {field}) or known,
        ) from error
    except ValueError as error:
        raise InvalidStep(f"{name} is not JSON: {error}", hint=f"write {example}") from error


def print_decision(
    decision: Decision, facts: dict[str, Any] | None = None, *, as_json: bool
) -> ExitCode:
    """Show a decision; 1 where the data drifted, is broken, or is too little to tell."""
    if as_json:
        print_json({**(facts or {}), **decision.model_dump(mode="json")})
    else:
        calibrated = "calibrated" if decision.calibrated else "not calibrated"
        print_line(f"{decision.verdict} ({calibrated}): {decision.sentence}")
        rows = [
            (
                column.name,
                column.verdict + (" (muted)" if column.muted_until else ""),
                number(column.effect),
                column.severity,
                column.reason,
            )
            for column in decision.columns
        ]
        columns = ["column", "verdict", "effect", "severity", "why"]
        print_table(columns, rows, empty="there are no columns")
        for name, value in (facts or {}).items():
            print_line(f"{name}: {value}")
    return ExitCode.FAILED if decision.verdict in _STOPS else ExitCode.OK


def number(value: float | None) -> str | None:
    """An effect as people read it."""
    return None if value is None else f"{value:.3f}"


def say(facts: dict[str, Any], said: str, *, as_json: bool) -> None:
    """One document for a program, or one line for people."""
    if as_json:
        print_json(facts)
    else:
        print_line(said)
