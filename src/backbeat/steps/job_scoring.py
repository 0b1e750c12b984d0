"""Batch scoring by remote jobs, for a step: its server, its caps, its numbers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from backbeat.canonical import digest
from backbeat.errors import BudgetSpent
from backbeat.inference.jobs.course import Course, Spending, UnderWay
from backbeat.inference.jobs.interruptible import run_interruptibly
from backbeat.inference.jobs.server import JobServer
from backbeat.inference.jobs.servers import job_server
from backbeat.inference.jobs.writing import Writing
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.served import Asking
from backbeat.inference.serving import Serving
from backbeat.inference.tally import Tally
from backbeat.ports import Budget
from backbeat.step import Job, StepContext, Waiting
from backbeat.steps.served_scoring import within

__all__ = ["score_by_jobs"]

_log = logging.getLogger(__name__)
_CANCEL_SECONDS = 15.0


def score_by_jobs(
    ctx: StepContext,
    scoring: Scoring,
    address: str,
    serving: Serving,
    *,
    column: str,
    accept: Callable[[Sequence[str]], None],
) -> Waiting | tuple[Scored, dict[str, Any], dict[str, float]]:
    """Score a table by remote jobs.

    A task that is killed, by an exception that is no error (KeyboardInterrupt, SystemExit, the end
    of its time in Airflow), cancels them. One that fails, or whose process is gone, does not: the
    next attempt finds them.

    Args:
        ctx: The step's context.
        scoring: What to score, and where to.
        address: The job server's.
        serving: How it is asked.
        column: Name of the output where the model gives just one.
        accept: See `Course.run`.

    Returns:
        Waiting, where `ctx` says that the jobs are waited for elsewhere. Else what was done, what
        the step's value says beside it, and the step's metrics.

    Raises:
        BudgetSpent: The cap is reached, or would be; no job was submitted for it.
        BackbeatError: See `Course.run`.
    """
    tally = Tally(serving.prices)
    asking = Asking(
        parameters=serving.parameters,
        column=column,
        confidence=serving.confidence,
        at_least=serving.at_least,
        max_bad_rows=serving.max_bad_rows,
    )
    course: list[Course] = []
    # looked up here: some orchestrators answer their tasks' main thread alone
    secrets = dict(ctx.credentials(serving.credentials)) if serving.credentials else {}

    def opened() -> JobServer:
        return job_server(
            address, secrets=secrets, resilience=serving.resilience, shared=lambda: ctx
        )

    async def run() -> Scored | UnderWay:
        server = opened()
        try:
            course.append(
                Course(
                    scoring,
                    server,
                    serving.jobs,
                    Writing(scoring, asking, address, tally),
                    effect=lambda shard, number: ctx.effect_id(
                        "job", content={"shard": shard, "output": scoring.output, "number": number}
                    ),
                    request_rows=serving.request_rows or 1,
                    waited_for=ctx.waited_for,
                    spending=_spending(ctx, serving),
                    progress=lambda done, total: ctx.progress(done, total, "rows"),
                    ensure_current=ctx.ensure_current,
                )
            )
            return await course[0].run(accept)
        finally:
            await server.aclose()

    with _cancelled_if_killed(course, opened):
        found = run_interruptibly(run)
    if isinstance(found, tuple):
        jobs = tuple(
            Job(id=each, address=address, credentials=serving.credentials, note=note)
            for each, note in found
        )
        return Waiting(request_id=f"jobs-{digest({'jobs': list(found)})[7:23]}", jobs=jobs)
    said = {
        "bad": found.bad,
        "calls": tally.calls,
        "cost": round(tally.cost, 6),
        "jobs": course[0].jobs,
    }
    numbers = tally.metrics()
    # how long a job's answer took, nobody says
    metrics = {name: numbers[name] for name in numbers if not name.startswith("seconds.")}
    return found, said, metrics


@contextmanager
def _cancelled_if_killed(
    course: Sequence[Course], opened: Callable[[], JobServer]
) -> Iterator[None]:
    try:
        yield
    except Exception:
        raise  # the next attempt finds what is under way
    except BaseException:
        if course:
            _log.info("the task was killed: its remote jobs are cancelled")
            run_interruptibly(lambda: _cancel(course[0], opened))
        raise


async def _cancel(course: Course, opened: Callable[[], JobServer]) -> None:
    # the event loop that the first server belonged to is gone
    server = opened()
    try:
        async with asyncio.timeout(_CANCEL_SECONDS):
            await course.cancel(server)
    except TimeoutError:
        _log.warning("the remote jobs were not cancelled in time, and may go on")
    finally:
        await server.aclose()


def _spending(ctx: StepContext, serving: Serving) -> Spending:
    """The caps of all attempts and mapped copies of a task in its run; see `Cap`."""
    name = f"{ctx.identity.workflow}:{ctx.identity.run}:{ctx.identity.task}"
    most_calls, most_cost = serving.max_calls, serving.max_cost
    calls = Budget(f"calls:{name}:{most_calls}", capacity=most_calls or 0)
    money = Budget(f"cost:{name}:{most_cost}", capacity=most_cost or 0.0)

    def least(questions: int) -> float:
        return serving.prices.cost(calls=questions, seconds=0.0, usage={})

    def before(questions: int) -> None:
        if most_calls is not None and not ctx.spend(calls, cost=float(questions)):
            raise _reached("max_calls", most_calls)
        if most_cost is not None and not ctx.spend(money, cost=least(questions)):
            raise _reached("max_cost", most_cost)

    def after(questions: int, cost: float) -> None:
        over = cost - least(questions)
        if most_cost is None:
            return
        if over <= 0:
            ctx.spend(money, cost=0.0, earned=-over)
            return
        if not ctx.spend(money, cost=over):
            # there is less left than that: take what there is, so that nothing more is submitted
            while over > 1e-9:  # noqa: PLR2004 - less than any price
                over = over if ctx.spend(money, cost=over) else over / 2

    return Spending(
        forecast=lambda questions: within(serving, questions), before=before, after=after
    )


def _reached(name: str, most: float) -> BudgetSpent:
    return BudgetSpent(
        f"The cap {name}={most:g} of this task is reached, over all of its attempts.",
        hint=f"raise {name} if the rest is worth it; what was answered is kept",
    )
