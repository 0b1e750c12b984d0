"""Batch scoring by a served model, for a step: its client, its cap, its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from backbeat.errors import BudgetSpent
from backbeat.inference.cap import Cap
from backbeat.inference.client import InferenceClient
from backbeat.inference.connecting import connect
from backbeat.inference.jobs.interruptible import run_interruptibly
from backbeat.inference.prediction import model_named
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.served import Asking, score_served
from backbeat.inference.serving import Serving
from backbeat.inference.tally import Tally
from backbeat.step import StepContext

if TYPE_CHECKING:
    from backbeat.inference.protocol import ModelInfo

__all__ = ["cap_of", "client_for", "score_with_server", "version_now", "within"]


def version_now(ctx: StepContext, address: str, serving: Serving) -> str:
    """The model that is served now: its address, with its version where the server says one.

    Raises:
        NotFound: There is no such model.
        Unreachable: The server does not answer; a retry can help.
    """

    async def ask() -> ModelInfo:
        async with client_for(ctx, address, serving) as client:
            return await client.describe()

    return model_named(address, asyncio.run(ask()).version)


def score_with_server(
    ctx: StepContext,
    scoring: Scoring,
    address: str,
    serving: Serving,
    *,
    version: str,
    column: str,
    accept: Callable[[Sequence[str]], None],
) -> tuple[Scored, dict[str, Any], dict[str, float]]:
    """Score a table by a served model.

    Args:
        ctx: The step's context.
        scoring: What to score, and where to.
        address: The model's.
        serving: How it is asked.
        version: The version that must answer; any where empty.
        column: Name of the output where the model gives just one.
        accept: See `score_served`.

    Returns:
        What was done, what the step's value says beside it, and the step's metrics.

    Raises:
        BudgetSpent: The cap is reached, or would be; what was answered is kept.
        BackbeatError: See `score_served`.
    """
    tally = Tally(serving.prices)

    async def run() -> tuple[Scored, int]:
        cap = cap_of(ctx, serving)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(cap.give_back)
            fallback = None
            if serving.fallback:
                fallback = client_for(ctx, serving.fallback, serving, before_call=cap.before_call)
            client = client_for(
                ctx,
                address,
                serving,
                version=version,
                fallback=fallback,
                before_call=cap.before_call,
            )
            await stack.enter_async_context(client)
            doubtful = None
            if serving.doubtful:
                doubtful = client_for(ctx, serving.doubtful, serving, before_call=cap.before_call)
                await stack.enter_async_context(doubtful)
            return await score_served(
                scoring,
                client,
                Asking(
                    parameters=serving.parameters,
                    request_rows=serving.request_rows,
                    request_bytes=serving.request_bytes,
                    column=column,
                    confidence=serving.confidence,
                    at_least=serving.at_least,
                    max_bad_rows=serving.max_bad_rows,
                ),
                tally=tally,
                doubtful=doubtful,
                settle=cap.settle,
                forecast=lambda calls: within(serving, calls),
                progress=lambda done, total: ctx.progress(done, total, "rows"),
                ensure_current=ctx.ensure_current,
                accept=accept,
            )

    scored, repeated = run_interruptibly(run)
    said = {
        "bad": scored.bad,
        "calls": tally.calls,
        "repeated": repeated,
        "cost": round(tally.cost, 6),
    }
    return scored, said, tally.metrics()


def within(serving: Serving, calls: int) -> None:
    """Raise BudgetSpent, before the first call, of work that cannot fit under its cap."""
    cost = serving.prices.cost(calls=calls, seconds=0.0, usage={})
    if serving.max_calls is not None and calls > serving.max_calls:
        raise BudgetSpent(
            f"{calls} calls are needed without any retry, and max_calls is {serving.max_calls}.",
            hint="raise max_calls, ask about more rows in a request, or score less",
        )
    if serving.max_cost is not None and cost > serving.max_cost:
        raise BudgetSpent(
            f"{calls} calls cost {cost:g} at least, and max_cost is {serving.max_cost:g}.",
            hint="raise max_cost, or score less",
        )


def cap_of(ctx: StepContext, serving: Serving) -> Cap:
    """The cap of all attempts and mapped copies of a task in its run."""
    return Cap(
        f"{ctx.identity.workflow}:{ctx.identity.run}:{ctx.identity.task}",
        lambda: ctx,
        max_calls=serving.max_calls,
        max_cost=serving.max_cost,
    )


def client_for(ctx: StepContext, address: str, serving: Serving, **options: Any) -> InferenceClient:
    """A client with the platform's credentials, and what the workers share."""
    secrets: Mapping[str, str] = ctx.credentials(serving.credentials) if serving.credentials else {}
    options.setdefault("registry", lambda: ctx.registry)
    return connect(
        address, secrets=secrets, resilience=serving.resilience, shared=lambda: ctx, **options
    )
