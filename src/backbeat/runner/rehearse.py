"""What `run_step` would do, found out without doing it: nothing is performed or recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backbeat.identity import RunIdentity
from backbeat.platform import Platform
from backbeat.ports import Verdict
from backbeat.runner.context import PerformContext
from backbeat.runner.run import work_key
from backbeat.step import Replay, Step

__all__ = ["Rehearsal", "rehearse"]


@dataclass(frozen=True)
class Rehearsal:
    """What would happen.

    Args:
        key: The piece of work.
        inputs: Floating inputs as they resolve now.
        policy: What the policy says now.
        state: The state of the same work in the ledger, None where it is new.
        would: `perform`, `replay` (hand out the recorded Done) or `refuse`.
    """

    key: str
    inputs: Mapping[str, str]
    policy: Verdict
    state: str | None
    would: str


def rehearse(step: Step, run: RunIdentity, platform: Platform) -> Rehearsal:
    """Check needs, resolve the inputs, ask the policy, and look the work up.

    Args:
        step: What would be done.
        run: For whom.
        platform: With what.

    Raises:
        UnmetNeed: The platform lacks what the step needs.
        BackbeatError: An input cannot be resolved.
    """
    platform.require(step.required(), what=step.kind)
    inputs = step.resolve(PerformContext(step, run, platform))
    verdict = platform.policy.decide("step.start", identity=run, facts={"kind": step.kind})
    key = work_key(run, step.digest(), inputs)
    record = platform.ledger.run(key)
    state = record.state if record else None
    would = "perform"
    if not verdict.allowed:
        would = "refuse"
    elif state == "done" and step.replay is Replay.RECORDED:
        would = "replay"
    return Rehearsal(key=key, inputs=inputs, policy=verdict, state=state, would=would)
