"""Compare-and-set of an alias, as far as MLflow allows it.

MLflow's alias write is last-writer-wins and has no condition. The ledger's lock excludes backbeat's
own writers; a person who moves the alias in MLflow's page between our read and our write is noticed
by the reading back only if they write last, and not at all if we do. That window is some
milliseconds long and cannot be closed from outside MLflow. Nor can a retry know, after a crash
in the instant between the write and the tag that records it, whether somebody set the alias back
before the retry: it then carries the decision out.
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
    decision: str = "",
) -> Promotion:
    """Move an alias: lock, read, must be what the evidence saw, set, read back.

    A decision is carried out once: where its alias was moved away since, a person has rolled it
    back, and no retry, clear or re-execution undoes that.

    Args:
        ledger: Holds the lock `promote:<model>@<alias>`.
        registry: Holds the alias.
        model: Registered model's name.
        version: Where the alias is to point.
        alias: Such as `champion`.
        expected: The version that the evidence saw behind the alias; None for no alias.
        effect_id: Left on the version as a tag, so that a later attempt knows its own work.
        ensure_current: Raises FencedOut where a later attempt has taken over.
        decision: Names what was decided, such as the step's digest; kept as a tag of the version.

    Raises:
        Conflict: The alias is not what the evidence saw, the promotion was rolled back, or somebody
            else wrote at the same time.
        LeaseHeld: Another promotion of the same alias is under way; a retry helps.
    """
    with ledger.lock(f"promote:{model}@{alias}", owner=effect_id, seconds=_LOCK_SECONDS):
        current = registry.alias(model, alias)
        tags = registry.resolve(f"models:/{model}/{version}").tags
        carried_out = f"backbeat.promoted.{alias}"
        attempted = f"backbeat.promotion.{alias}"  # without the alias in releases up to 0.1.0
        if current == version:
            # an attempt that died between the write and its record left its effect's id behind
            ours = effect_id in {tags.get(attempted), tags.get("backbeat.promotion")}
            if ours and decision and carried_out not in tags:
                registry.tag_version(model, version, {carried_out: decision})
            return Promotion(previous=expected if ours else current, changed=ours)
        if current != expected:
            raise Conflict(
                f"{model}@{alias} is version {current}, but the evidence compared with "
                f"{expected}: nothing was changed",
                hint="compare with the present champion and ask for a sign-off again",
            )
        if decision and tags.get(carried_out) == decision:
            raise Conflict(
                f"{model}@{alias} was moved to version {version} on this decision before, and has "
                f"been set back to {current} since: nothing was changed",
                hint="compare and ask for a sign-off again, or set the alias by hand",
            )
        ensure_current()
        registry.tag_version(model, version, {attempted: effect_id})
        registry.set_alias(model, alias, version)
        after = registry.alias(model, alias)
    if after != version:
        raise Conflict(
            f"{model}@{alias} was set to version {version} and reads {after}: somebody else "
            "moved it at the same moment",
            hint="settle who promotes, then promote again",
        )
    if decision:
        # after the write: a tag that is there says that the alias has pointed here
        registry.tag_version(model, version, {carried_out: decision})
    return Promotion(previous=current, changed=True)
