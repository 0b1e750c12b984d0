"""`resume_step`: a parked step continues from the ledger, never from the operator."""

from __future__ import annotations

from backbeat.errors import NotFound
from backbeat.identity import RunIdentity
from backbeat.kinds import step_from_json
from backbeat.platform import Platform
from backbeat.ports import Need
from backbeat.runner.run import run_step
from backbeat.step import Outcome

__all__ = ["resume_step", "tick"]


def resume_step(request_id: str, platform: Platform, *, run: RunIdentity | None = None) -> Outcome:
    """Perform the step that waits for a request, exactly as it was when it asked.

    Args:
        request_id: The only thing that a trigger or a sensor carries.
        platform: What to do it with; the policy is asked again.
        run: The attempt that resumes; the recorded identity where it is not given.

    Returns:
        Done or Blocked, or Waiting again where the request is still open.

    Raises:
        NotFound: No step waits for that request.
    """
    platform.require([Need.LEDGER], what="resuming a step")
    records = platform.ledger.runs(request_id=request_id)
    if not records:
        raise NotFound(
            f"no step waits for the request {request_id}", hint="see `backbeat signoff list`"
        )
    record = records[0]
    recorded = RunIdentity.model_validate(record.identity)
    if run is not None:
        # what makes the key is the asking attempt's; who resumes and in which try may differ
        recorded = recorded.model_copy(
            update={"attempt": run.attempt, "traceparent": run.traceparent}
        )
    return run_step(step_from_json(record.step), recorded, platform)


def tick(platform: Platform, *, limit: int = 1000) -> dict[str, int]:
    """Do what time asks for: settle requests past their deadline, send the outbox's messages.

    Returns:
        How many requests were `settled` and how many messages `delivered`.
    """
    from backbeat.signoff import settle_due

    platform.require([Need.LEDGER], what="backbeat tick")
    settled = settle_due(platform.ledger)
    delivered = 0
    while delivered < limit:
        sent = platform.ledger.drain(platform.sinks, limit=min(100, limit - delivered))
        delivered += sent
        if sent == 0:
            break
    return {"settled": settled, "delivered": delivered}
