"""Which models a step may ask: the list of addresses, and the policy where a team has one."""

from __future__ import annotations

from collections.abc import Iterable

from backbeat.errors import Refused
from backbeat.inference.address import parse_address
from backbeat.inference.connecting import require_allowed
from backbeat.inference.jobs.servers import is_job_address, parse_job_address
from backbeat.step import StepContext

__all__ = ["require_permitted"]


def require_permitted(ctx: StepContext, addresses: Iterable[str | None]) -> None:
    """Refuse models that may not be asked; called at the claim, before anything is opened.

    The policy is asked about `model.ask` with the fact `address`.

    Args:
        ctx: The step's context.
        addresses: Those that the step may ask; None and registered models are passed over.

    Raises:
        Refused: The list of allowed addresses, or the policy, says no; a retry will not help.
    """
    for address in addresses:
        if not address or address.startswith("models:/"):
            continue
        parse = parse_job_address if is_job_address(address) else parse_address
        require_allowed(parse(address))
        verdict = ctx.policy.decide("model.ask", identity=ctx.identity, facts={"address": address})
        if not verdict.allowed:
            raise Refused(
                f"policy does not let {address} be asked: {verdict.reason}",
                hint="ask a model that policy allows",
            )
