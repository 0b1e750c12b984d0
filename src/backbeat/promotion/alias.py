"""Compare-and-set of an alias, as far as MLflow allows it.

MLflow's alias write is last-writer-wins and has no condition. The ledger's lock excludes backbeat's
own writers; a person who moves the alias in MLflow's page between our read and our write is noticed
by the reading back only if they write last, and not at all if we do. That window is some
milliseconds long and cannot be closed from outside MLflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backbeat.errors import Conflict, Refused
from backbeat.ports import Ledger, Registry
from backbeat.signoff import read_request

__all__ = ["Promotion", "approved_by", "promote"]

_LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class Promotion:
    """What a promotion found and did.

    Args:
        previous: The version that the alias pointed to before, None where there was none.
        changed: False where the alias already pointed to the version.
    """

    previous: str | None
    changed: bool


def approved_by(ledger: Ledger, request_id: str, *, model: str, version: str) -> tuple[str, ...]:
    """Who signed off exactly this version.

    Args:
        ledger: Where the request lives.
        request_id: The request.
        model: Registered model's name.
        version: The version about to be promoted.

    Raises:
        NotFound: There is no such request.
        Refused: It is open or rejected, or it is about something else.
    """
    state = read_request(ledger, request_id)
    if state.name != "approved" or state.decision is None:
        raise Refused(
            f"the sign-off {request_id} is {state.name}, not approved",
            hint="wait for the decision, or ask again with new evidence",
        )
    about = state.request.about
    if (about.get("model"), about.get("version")) != (model, version):
        raise Refused(
            f"the sign-off {request_id} is about {about}, not about {model} version {version}",
            hint="ask for a sign-off of the version that is to be promoted",
        )
    return state.decision.by


def promote(
    *,
    ledger: Ledger,
    registry: Registry,
    model: str,
    version: str,
    alias: str,
    expected: str | None,
    effect_id: str,
    ensure_current: Callable[[], None],
) -> Promotion:
    """Move an alias: lock, read, must be what the evidence saw, set, read back.

    Args:
        ledger: Holds the lock `promote:<model>@<alias>`.
        registry: Holds the alias.
        model: Registered model's name.
        version: Where the alias is to point.
        alias: Such as `champion`.
        expected: The version that the evidence saw behind the alias; None for no alias.
        effect_id: Left on the version as a tag, so that a later attempt knows its own work.
        ensure_current: Raises FencedOut where a later attempt has taken over.

    Raises:
        Conflict: The alias is not what the evidence saw, or somebody else wrote at the same time.
        LeaseHeld: Another promotion of the same alias is under way; a retry helps.
    """
    with ledger.lock(f"promote:{model}@{alias}", owner=effect_id, seconds=_LOCK_SECONDS):
        current = registry.alias(model, alias)
        if current == version:
            # an attempt that died between the write and its record left its effect's id behind
            tags = registry.resolve(f"models:/{model}/{version}").tags
            ours = tags.get("backbeat.promotion") == effect_id
            return Promotion(previous=expected if ours else current, changed=ours)
        if current != expected:
            raise Conflict(
                f"{model}@{alias} is version {current}, but the evidence compared with "
                f"{expected}: nothing was changed",
                hint="compare with the present champion and ask for a sign-off again",
            )
        ensure_current()
        registry.tag_version(model, version, {"backbeat.promotion": effect_id})
        registry.set_alias(model, alias, version)
        after = registry.alias(model, alias)
    if after != version:
        raise Conflict(
            f"{model}@{alias} was set to version {version} and reads {after}: somebody else "
            "moved it at the same moment",
            hint="settle who promotes, then promote again",
        )
    return Promotion(previous=current, changed=True)
