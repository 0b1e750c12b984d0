"""What Dagster does after a failed attempt: the core decides, the run waits or ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import dagster as dg
import pytest

from backbeat import Done, Platform, Step
from backbeat.errors import LeaseHeld, RetryableError, Unreachable
from backbeat.ports import Need
from backbeat.retries import workflow_budget
from backbeat.step import Outcome, StepContext
from dagster_backbeat.outcome import StepRun, dagster_errors
from dagster_backbeat.step_asset import asset_of

Runs = Callable[..., dg.ExecuteInProcessResult]


class Failing(Step):
    """Raises what the test has put here, one error an attempt; ends well when none is left."""

    kind: ClassVar[str] = "test.failing/v1"
    needs: ClassVar[frozenset[Need]] = frozenset()
    errors: ClassVar[list[Exception]] = []
    attempts: ClassVar[list[int]] = []

    def perform(self, ctx: StepContext) -> Outcome:
        """Note the attempt, then fail."""
        self.attempts.append(ctx.identity.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return Done()


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    Failing.errors.clear()
    Failing.attempts.clear()


@pytest.fixture
def asset() -> dg.AssetsDefinition:
    """An asset of the failing step."""
    return asset_of(
        lambda run: run.perform(Failing, {}),
        asset="failing",
        kind="test",
        description=None,
        refers_to={},
        deps=[],
        when=None,
        partitions_def=None,
        group_name=None,
        resource_key="backbeat",
    )


@pytest.fixture
def play(run_job: Runs, asset: dg.AssetsDefinition) -> Runs:
    """Runs the asset as a job, where each attempt raises the next error."""

    def run(*errors: Exception) -> dg.ExecuteInProcessResult:
        Failing.errors.extend(errors)
        return run_job([asset], partition_key=None)

    return run


@pytest.fixture
def asked(platform: Platform, resource: Any) -> Callable[[Exception], Any]:
    """What an error of an asset's first attempt is translated into."""

    def translate(
        error: Exception, *, policy: dg.RetryPolicy | None = None, job: str = "nightly"
    ) -> Any:
        caught: list[Exception] = []

        @dg.op(required_resource_keys={"backbeat"}, retry_policy=policy)
        def failing(context) -> None:  # noqa: ANN001 - Dagster reads it as an object
            run = StepRun(context, "failing", "backbeat")
            with pytest.raises(Exception) as raised, dagster_errors(run):  # noqa: PT011 - any
                raise error
            caught.append(raised.value)

        @dg.job(name=job, resource_defs={"backbeat": resource})  # type: ignore[untyped-decorator]
        def run() -> None:
            failing()

        assert run.execute_in_process().success
        return caught[0]

    return translate


def _spent(platform: Platform, tokens: float, job: str = "nightly") -> bool:
    return platform.ledger.spend(workflow_budget(f"dagster:{job}"), cost=tokens)


def _soon(number: int) -> list[Exception]:
    return [Unreachable(f"no answer {at}", retry_after=0.001) for at in range(number)]


def test_retries_are_paid_from_the_jobs_budget(play: Runs, platform: Platform) -> None:
    """Two retries cost two of the sixty, whatever the run is called."""
    assert play(*_soon(2)).success
    assert Failing.attempts == [1, 2, 3]
    assert not _spent(platform, 58.5)
    assert _spent(platform, 58)


def test_a_spent_budget_fails_the_run_and_says_so(play: Runs, platform: Platform) -> None:
    """One attempt, no retry; the failure names what failed, the budget, and what to do."""
    assert _spent(platform, 60)
    result = play(*_soon(9))
    assert Failing.attempts == [1]
    failure = result.failure_data_for_node("failing")
    assert failure is not None
    assert failure.user_failure_data is not None
    said = {name: entry.value for name, entry in failure.user_failure_data.metadata.items()}
    assert said["what"] == "BudgetSpent"
    assert "no answer 0" in said["why"]
    assert "the retry budget of dagster:nightly is spent" in said["why"]
    assert said["hint"]


def test_a_held_lease_is_waited_for_without_paying(play: Runs, platform: Platform) -> None:
    """Nothing was called, so the budget stays as it is; even an empty one lets it try again."""
    assert _spent(platform, 60)
    assert play(LeaseHeld("busy", retry_after=0.001)).success
    assert Failing.attempts == [1, 2]


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (Unreachable("gone"), 0, 10),
        (Unreachable("busy", retry_after=100), 100, 125),
        (LeaseHeld("busy", retry_after=40), 40, 50),
        (LeaseHeld("busy", retry_after=3600), 300, 300),
    ],
)
def test_how_long_the_run_waits(asked: Any, error: RetryableError, least: int, most: int) -> None:
    """Jitter over ten seconds at first, Retry-After as a floor, never more than five minutes."""
    request = asked(error)
    assert isinstance(request, dg.RetryRequested)
    assert request.max_retries == 3
    assert request.seconds_to_wait is not None
    assert least <= request.seconds_to_wait <= most


def test_a_server_that_asks_for_an_hour_ends_the_run(asked: Any, platform: Platform) -> None:
    """A run's worker is not kept for it, nor does it come back early; nothing is paid."""
    failure = asked(Unreachable("quota", retry_after=3600))
    assert isinstance(failure, dg.Failure)
    assert not failure.allow_retries
    assert "after 3600 s" in str(failure.description)
    assert _spent(platform, 60)


def test_the_retry_policy_of_an_op_or_a_job_is_followed(asked: Any) -> None:
    """How often and from which wait on is the user's to say."""
    policy = dg.RetryPolicy(max_retries=7, delay=100)
    drawn = [asked(Unreachable("gone"), policy=policy) for _ in range(5)]
    assert {request.max_retries for request in drawn} == {7}
    assert all(request.seconds_to_wait <= 100 for request in drawn)
    assert max(request.seconds_to_wait for request in drawn) > 10
    never = asked(Unreachable("gone"), policy=dg.RetryPolicy(max_retries=0))
    assert isinstance(never, dg.Failure)


def test_a_strangers_exception_is_dagsters_but_pays(asked: Any, platform: Platform) -> None:
    """Without a policy it simply fails; with one its retries come out of the budget too."""
    bug = ValueError("a bug")
    assert asked(bug) is bug
    assert _spent(platform, 59)
    policy = dg.RetryPolicy(max_retries=3)
    assert asked(bug, policy=policy) is bug
    refused = asked(bug, policy=policy)
    assert isinstance(refused, dg.Failure)
    assert not refused.allow_retries
    assert refused.metadata["what"].value == "BudgetSpent"


@pytest.mark.parametrize("word", [dg.Failure("no"), dg.RetryRequested(max_retries=1)])
def test_dagsters_own_words_stay(asked: Any, word: Exception) -> None:
    """A failure or a retry that was asked for in Dagster's terms goes through as it is."""
    assert asked(word) is word
