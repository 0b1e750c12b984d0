"""A played season as plain facts, and in what two seasons differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from backbeat import Platform
from backbeat.inference import read_scores
from backbeat.runner import tick
from backbeat.wiring import from_settings
from flights.season import SEASON
from flights.settings import KEY, MODEL
from flights.table import ledger_rows

__all__ = ["Season", "differences"]

_DECISIONS = (
    "quality", "drift", "columns", "decision", "by", "version", "rows", "unique", "steps",
)  # fmt: skip
_NUMBERS = ("champion", "challenger", "interval")
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Season:
    """What a season has left behind.

    Args:
        rows: Each night's row of the table, as JSON.
        scores: Each scored day's keys and scores, in the order of the keys.
        versions: How many versions the model has.
        champion: Where the alias points.
        moves: How many promotions moved it, by night.
        files: The store's keys without lineage.
        completed: Lineage events of type COMPLETE, by job and run.
        audit_broken: Audit entries whose bytes changed.
        outbox: Messages that never left.
        open_claims: Work that nobody finished.
        effects: Finished runs of the registry, by the effect that made them.
        seconds: What the nights took together.
    """

    rows: list[dict[str, Any]]
    scores: Mapping[str, tuple[list[str], list[float]]]
    versions: int
    champion: str | None
    moves: Mapping[str, int]
    files: frozenset[str]
    completed: Counter[str]
    audit_broken: list[int]
    outbox: int
    open_claims: list[str]
    effects: Counter[str]
    seconds: float

    @classmethod
    def read(cls, settings: Mapping[str, str], nights: Iterable[str]) -> Season:
        """Read a platform back; `nights` are the ISO days that count, all where empty."""
        platform = from_settings(settings)
        days = set(nights)
        tick(platform)
        rows = [row.as_json() for row in ledger_rows(platform) if not days or row.night in days]
        scored = [row["night"] for row in rows if row["rows"]]
        found = platform.ledger.check()
        keys = set(platform.store.keys(""))
        lineage = {key for key in keys if key.startswith("lineage/")}
        return cls(
            rows=rows,
            scores={night: _scores(platform, night) for night in scored},
            versions=_versions(_client(settings)),
            champion=platform.registry.alias(MODEL, "champion"),
            moves={day: n for day, n in _moves(platform).items() if not days or day in days},
            files=frozenset(_named(key) for key in keys - lineage),
            completed=_completed(platform, lineage),
            audit_broken=found["audit_broken"],
            outbox=found["outbox"],
            open_claims=[run.kind for run in platform.ledger.runs(state="claimed", limit=100)],
            effects=_effects(_client(settings)),
            seconds=sum(row["seconds"] or 0.0 for row in rows),
        )


def differences(season: Season, reference: Season) -> list[str]:
    """In what a season under fire differs from the undisturbed one; empty where in nothing."""
    wrong: list[str] = []
    for ours, theirs in zip(season.rows, reference.rows, strict=True):
        night = ours["night"]
        wrong += [
            f"{night}: {name} is {ours[name]!r} and should be {theirs[name]!r}"
            for name in _DECISIONS
            if ours[name] != theirs[name]
        ]
        wrong += [
            f"{night}: {name} is {ours[name]} and should be {theirs[name]}"
            for name in _NUMBERS
            if not _close(ours[name], theirs[name])
        ]
    for night, (keys, scores) in reference.scores.items():
        if night not in season.scores:
            wrong.append(f"{night}: nothing was scored")
        elif season.scores[night][0] != keys:
            wrong.append(f"{night}: other rows were scored")
        elif not np.allclose(season.scores[night][1], scores, rtol=0, atol=_TOLERANCE):
            wrong.append(f"{night}: other scores")
    # a part of the season leaves less behind than the whole
    whole = len(season.rows) == len(SEASON)
    facts = ("audit_broken", "outbox", "open_claims", *(("versions", "champion") if whole else ()))
    for name in ("moves", *facts):
        ours, theirs = getattr(season, name), getattr(reference, name)
        if ours != theirs:
            wrong.append(f"{name}: {ours} and should be {theirs}")
    unlike = reference.files ^ season.files if whole else season.files - reference.files
    for key in sorted(unlike)[:10]:
        wrong.append(f"the store has {'more' if key in season.files else 'less'}: {key}")
    for what in ("completed", "effects"):
        twice = [name for name, number in getattr(season, what).items() if number > 1]
        wrong += [f"{what} more than once: {name}" for name in twice]
    return wrong


def _scores(platform: Platform, night: str) -> tuple[list[str], list[float]]:
    tomorrow = date.fromisoformat(night) + timedelta(days=1)
    # reading checks every file against the digest that the manifest has of it
    table = read_scores(platform.store, f"scores/flights/{tomorrow.isoformat()}").sort_by(KEY)
    return table[KEY].to_pylist(), table["score"].to_pylist()


def _versions(client: Any) -> int:
    return len(client.search_model_versions(f"name = '{MODEL}'"))


def _effects(client: Any) -> Counter[str]:
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(ids, "attributes.status = 'FINISHED'", max_results=5000)
    return Counter(run.data.tags.get("backbeat.effect", run.info.run_id) for run in runs)


def _client(settings: Mapping[str, str]) -> Any:
    from mlflow import MlflowClient

    uri = settings.get("tracking_uri") or f"sqlite:///{settings['folder']}/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _moves(platform: Platform) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for run in platform.ledger.runs(state="done", limit=10_000):
        if run.kind == "model.promote/v1" and run.outcome and run.outcome["value"]["changed"]:
            night = run.identity.get("partition") or str(run.identity.get("logical_time"))[:10]
            counted[str(night)] += 1
    return dict(counted)


def _completed(platform: Platform, keys: Iterable[str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for key in keys:
        event = json.loads(platform.store.read(key))
        if event["eventType"] == "COMPLETE":
            counted[f"{event['job']['name']} {event['run']['runId']}"] += 1
    return counted


def _named(key: str) -> str:
    # a report is named after its piece of work, whose key knows the run's own name
    folder, _, name = key.rpartition("/")
    return f"{folder}/…{name[name.rfind('.') :]}" if folder.startswith("reports") else key


def _close(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return bool(np.allclose(ours, theirs, rtol=0, atol=_TOLERANCE))
