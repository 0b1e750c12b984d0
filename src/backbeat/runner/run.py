"""`run_step`: two commits around every effect, and none open while performing.

claim:   needs -> inputs pinned -> policy -> lease, fencing token, START
perform: inside a span, the lease kept by a heartbeat
finish:  outcome, audit entry and outgoing events, refused if the fencing token is stale
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from backbeat.canonical import canonical_bytes, digest
from backbeat.errors import (
    BackbeatError,
    FencedOut,
    FinalError,
    Refused,
    UserCodeFailed,
)
from backbeat.identity import RunIdentity
from backbeat.ledger.owner import this_process
from backbeat.lineage import lineage_event
from backbeat.platform import Platform
from backbeat.ports import Claim, Ending, Message, Recorded
from backbeat.runner.context import PerformContext
from backbeat.runner.drain import drain_soon
from backbeat.runner.finish import finish_surely
from backbeat.runner.lease import LEASE_SECONDS, Heartbeat
from backbeat.step import Blocked, Done, Outcome, Replay, Step, Waiting, outcome_from_json
from backbeat.telemetry import record_outcome, redact, step_span

__all__ = ["run_step", "work_key"]


def run_step(
    step: Step,
    run: RunIdentity,
    platform: Platform,
    *,
    lease_seconds: float = LEASE_SECONDS,
    waited_for: Collection[str] | None = None,
) -> Outcome:
    """Perform a step once for its workflow run, wherever it runs.

    Args:
        step: What to do.
        run: For whom, and which attempt.
        platform: What to do it with.
        lease_seconds: How long a worker that fell silent keeps others from taking over.
        waited_for: Ids of the remote jobs that this attempt was parked on, empty at first: then
            the step is parked, as Waiting, while there are jobs to wait for. Where None, it waits
            for them itself.

    Returns:
        Done, Waiting or Blocked. A retry after a crash gets the recorded Done back where the
        step's `replay` says so.

    Raises:
        UnmetNeed: The platform lacks what the step needs; nothing was done.
        Refused: Policy said no; the refusal is on record.
        LeaseHeld: Another worker performs it right now; retry later.
        FencedOut: A later attempt took over while this one performed.
        BackbeatError: Whatever the step itself raises; its class says if a retry helps.
    """
    platform.require(step.required(), what=step.kind)
    context = PerformContext(
        step, run, platform, waited_for=None if waited_for is None else frozenset(waited_for)
    )
    try:
        context.inputs = step.resolve(context)
    except Exception as error:
        claim = _claim(step, run, {"unresolved": type(error).__name__}, platform, lease_seconds)
        state = "denied" if isinstance(error, Refused) else "failed"
        platform.ledger.deny(claim, _failed(error, claim, platform, state=state))
        raise
    claim = _claim(step, run, context.inputs, platform, lease_seconds)
    verdict = platform.policy.decide("step.start", identity=run, facts={"kind": step.kind})
    if not verdict.allowed:
        refusal = Refused(
            f"policy does not let {step.kind} start: {verdict.reason}",
            hint="run it as somebody whom policy allows",
        )
        platform.ledger.deny(claim, _failed(refusal, claim, platform, state="denied"))
        raise refusal
    granted = platform.ledger.claim(claim)
    if isinstance(granted, Recorded):
        return outcome_from_json(granted.outcome)
    context.key = claim.key
    outcome = _perform(step, claim, granted.token, context, platform)
    record_outcome(step.kind, run, outcome)
    drain_soon(platform)
    return outcome


def _perform(
    step: Step, claim: Claim, token: int, context: PerformContext, platform: Platform
) -> Outcome:
    ledger = platform.ledger
    with (
        Heartbeat(ledger, claim.key, token, seconds=claim.lease_seconds) as lease,
        step_span(step.kind, claim.identity, claim.key),
    ):
        context.still_ours = lease.ensure_current
        try:
            outcome = _checked(step, step.perform(context))
            ending = _ended(outcome, claim, platform)
        except FencedOut:
            raise  # the later attempt writes the record
        except BaseException as error:
            state = "denied" if isinstance(error, Refused) else "failed"
            ending = _failed(error, claim, platform, state=state)
            finish_surely(ledger, claim.key, token, ending, seconds=claim.lease_seconds)
            raise
    finish_surely(ledger, claim.key, token, ending, seconds=claim.lease_seconds)
    return outcome


def work_key(run: RunIdentity, step_digest: str, inputs: Mapping[str, str]) -> str:
    """The digest that names one piece of work: workflow, run, task, step and its inputs."""
    return digest(
        {
            "workflow": run.workflow,
            "run": run.run,
            "task": run.task_key,
            "step": step_digest,
            "inputs": dict(inputs),
        }
    )


def _checked(step: Step, outcome: Outcome) -> Outcome:
    # a step may be a user's own: what cannot be recorded must fail before the commit, not in it
    if not isinstance(outcome, Outcome):
        raise UserCodeFailed(
            f"{step.kind} returned {type(outcome).__name__}, not an outcome",
            hint="return Done, Waiting or Blocked from perform",
        )
    free = {} if isinstance(outcome, Waiting) else {"evidence": outcome.evidence}
    if isinstance(outcome, Done):
        free["value"] = outcome.value
    try:
        canonical_bytes(free)
    except ValueError as error:
        raise UserCodeFailed(
            f"{step.kind} returned an outcome that is not JSON: {error}",
            hint="return plain numbers, text, lists and dicts, without NaN or infinities",
        ) from error
    if isinstance(outcome, Blocked):
        return outcome.model_copy(update={"reason": redact(outcome.reason)})
    return outcome


def _claim(
    step: Step,
    run: RunIdentity,
    inputs: Mapping[str, str],
    platform: Platform,
    lease_seconds: float,
) -> Claim:
    step_digest = step.digest()
    key = work_key(run, step_digest, inputs)
    start = lineage_event(
        "START",
        identity=run,
        key=key,
        kind=step.kind,
        namespace=platform.namespace,
        facts={"step": step_digest, "inputs": dict(inputs)},
    )
    return Claim(
        key=key,
        kind=step.kind,
        identity=run,
        step=step.to_json(),
        step_digest=step_digest,
        inputs=dict(inputs),
        lease_seconds=lease_seconds,
        replay=step.replay is Replay.RECORDED,
        owner=this_process(),
        nonce=uuid.uuid4().hex,
        messages=[start],
    )


def _ended(outcome: Outcome, claim: Claim, platform: Platform) -> Ending:
    if isinstance(outcome, Waiting):
        return Ending(
            state=outcome.status,
            outcome=outcome.model_dump(mode="json"),
            request_id=outcome.request_id,
            facts={"request_id": outcome.request_id},
        )
    facts: dict[str, Any] = {"step": claim.step_digest, "inputs": dict(claim.inputs)}
    if isinstance(outcome, Blocked):
        facts |= {"reason": outcome.reason, "evidence": digest(outcome.evidence)}
        messages = [_event("FAIL", claim, platform, facts, outcome=outcome, error=outcome.reason)]
    else:
        facts |= {"value": outcome.value, "evidence": digest(outcome.evidence)}
        facts["outputs"] = {ref.uri: ref.digest for ref in outcome.outputs}
        messages = [_event("COMPLETE", claim, platform, facts, outcome=outcome)]
    return Ending(
        state=outcome.status,
        outcome=outcome.model_dump(mode="json"),
        messages=messages,
        facts=facts,
    )


def _failed(
    error: BaseException, claim: Claim, platform: Platform, *, state: str = "failed"
) -> Ending:
    if isinstance(error, BackbeatError):
        described = error.as_json()
    else:
        retryable = isinstance(error, Exception) and not isinstance(error, FinalError)
        described = {"error": type(error).__name__, "message": str(error), "retryable": retryable}
    described = {
        name: redact(value) if isinstance(value, str) else value
        for name, value in described.items()
    }
    facts = {"error": described["error"], "message": described["message"]}
    event = _event("FAIL", claim, platform, facts, error=described["message"])
    return Ending(state=state, outcome=described, messages=[event], facts=facts)


def _event(
    state: Any,
    claim: Claim,
    platform: Platform,
    facts: Mapping[str, Any],
    *,
    outcome: Done | Blocked | None = None,
    error: str | None = None,
) -> Message:
    return lineage_event(
        state,
        identity=claim.identity,
        key=claim.key,
        kind=claim.kind,
        namespace=platform.namespace,
        facts=facts,
        inputs=outcome.inputs if outcome else (),
        outputs=outcome.outputs if isinstance(outcome, Done) else (),
        assertions=outcome.evidence.get("assertions", ()) if outcome else (),
        error=error,
    )
