"""What Airflow does after a failed attempt: the core decides, in each version's own terms."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, BaseOperator

from backbeat import embedded
from backbeat.errors import BackbeatError, LeaseHeld, NotFound, Unreachable
from backbeat.retries import workflow_budget
from backbeat_provider.decorators.candidate import candidate_task
from backbeat_provider.operators import LogLineageOperator
from backbeat_provider.retry import HAS_POLICIES, ruling

Context = Callable[..., dict[str, Any]]


@pytest.fixture
def note() -> LogLineageOperator:
    """A task with three retries, ten seconds apart."""
    delay = timedelta(seconds=10)
    return LogLineageOperator(task_id="note", facts={"rows": 3}, retries=3, retry_delay=delay)


def _after(task: LogLineageOperator, error: Exception, context: dict[str, Any]) -> str | None:
    """How an attempt that raises `error` ends: the reason of a final failure, None for a retry."""

    def perform(platform: Any) -> Any:
        raise error

    try:
        task._translated(perform, context)
    except AirflowFailException as failed:
        return str(failed)
    except type(error) as raised:
        left_to_airflow = raised is error
    assert left_to_airflow
    if HAS_POLICIES:
        ti = context["ti"]
        decision = task.retry_policy.evaluate(error, ti.try_number, ti.max_tries, context)
        return decision.reason if decision.action.value == "fail" else None
    return None


def _spend(folder: Path, tokens: float = 60) -> bool:
    return embedded(folder).ledger.spend(workflow_budget("airflow:dag"), cost=tokens)


def test_error_classes_decide(note: Any, folder: Path, context: Context) -> None:
    """A final error is final with its hint; a retryable one and a stranger's are tried again."""
    reason = _after(note, NotFound("no model flights", hint="train one"), context(note))
    assert reason == "no model flights Hint: train one (a retry will not help)"
    assert _after(note, Unreachable("gone"), context(note)) is None
    assert _after(note, ValueError("a bug"), context(note)) is None


@pytest.mark.parametrize("error", [Unreachable("gone"), ValueError("a bug")])
def test_a_spent_budget_fails_the_task(
    note: Any, folder: Path, context: Context, error: Exception
) -> None:
    """The budget is the DAG's, in the ledger of the task's connection; the reason names it."""
    assert _spend(folder, 59)
    assert _after(note, error, context(note)) is None
    assert _after(note, LeaseHeld("busy"), context(note)) is None  # nothing was called
    reason = _after(note, error, context(note))
    assert reason is not None
    assert "the retry budget of airflow:dag is spent" in reason
    assert "clear or re-execute" in reason
    assert _after(note, error, context(note, dag_id="another")) is None


def test_each_retry_is_paid_for_once(note: Any, folder: Path, context: Context) -> None:
    """Neither the task nor the policy pays where the other does."""
    assert _after(note, Unreachable("gone"), context(note)) is None
    assert not _spend(folder, 59.5)
    assert _spend(folder, 59)


def test_no_try_left_is_airflows_own_failure(note: Any, folder: Path, context: Context) -> None:
    """After the last try nothing is paid, and the error itself is what people see."""
    assert _after(note, Unreachable("gone"), context(note, try_number=4)) is None
    assert _spend(folder, 60)


def test_a_clear_grants_the_retries_anew(note: Any, folder: Path, context: Context) -> None:
    """The fifth try after a clear is a first attempt: its wait is as short as the first one's."""
    cleared = context(note, try_number=5, max_tries=7)
    waits = [ruling(Unreachable("gone"), cleared) for _ in range(40)]
    assert all(wait.after_seconds <= 10 for wait in waits)  # type: ignore[union-attr, operator]
    assert _after(note, Unreachable("gone"), cleared) is None


def test_the_task_says_how_long_the_waits_are(folder: Path, context: Context) -> None:
    """`retry_delay` is the first window, `max_retry_delay` the largest, else an hour."""
    minute, day = timedelta(minutes=1), timedelta(days=1)
    for given, attempt, longest in (
        ({"retry_delay": minute}, 1, 60),
        ({"retry_delay": minute}, 3, 240),
        ({"retry_delay": minute}, 30, 3600),
        ({"retry_delay": minute, "max_retry_delay": 2 * minute}, 30, 120),
        ({"retry_delay": day}, 2, 86_400),
    ):
        made = LogLineageOperator(task_id="note", retries=40, **given)
        waits = [_wait(made, context(made, try_number=attempt)) for _ in range(100)]
        assert longest / 2 < max(waits) <= longest


def _wait(made: Any, context: dict[str, Any]) -> float:
    verdict = ruling(LeaseHeld("busy"), context)
    return float(verdict.after_seconds)  # type: ignore[union-attr, arg-type]


def test_airflows_own_words_stay(note: Any, folder: Path, context: Context) -> None:
    """A skip that is raised inside the work is a skip, and pays for nothing."""

    def skip(platform: Any) -> Any:
        raise AirflowSkipException("nothing to do")

    with pytest.raises(AirflowSkipException):
        note._translated(skip, context(note))
    assert _spend(folder, 60)


def test_a_ledger_that_does_not_answer_changes_no_ending(
    note: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    """Where the record itself is away, the retry is granted by the process's own budget."""
    (tmp_path / "file").write_text("in the way")
    extra = {"folder": str(tmp_path / "file" / "platform")}
    value = json.dumps({"conn_type": "backbeat", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_BACKBEAT_DEFAULT", value)
    assert _after(note, Unreachable("gone"), context(note)) is None


def test_a_tasks_own_retries_stay(folder: Path) -> None:
    """What the task, the DAG or a mapped task's `partial` says is never replaced."""
    name, chosen = next(iter(_DEFAULT.items()))[0], _OWN
    assert getattr(LogLineageOperator(task_id="a", **{name: chosen}), name) == chosen
    with DAG("own", schedule=None, default_args={name: chosen}):
        assert getattr(LogLineageOperator(task_id="b"), name) == chosen
        mapped = LogLineageOperator.partial(task_id="c").expand(facts=[{"a": 1}])
        assert getattr(mapped.unmap({"facts": {"a": 1}}), name) == chosen
    with DAG("partial", schedule=None):
        mapped = LogLineageOperator.partial(task_id="d", **{name: chosen}).expand(facts=[{}])
        assert getattr(mapped.unmap({"facts": {}}), name) == chosen


def test_every_way_to_write_a_task_has_the_default() -> None:
    """Plain, mapped, in a DAG with defaults of its own, and decorated."""
    with DAG("ways", schedule=None, default_args={"retries": 2}):
        plain = LogLineageOperator(task_id="plain")
        mapped = LogLineageOperator.partial(task_id="mapped").expand(facts=[{"a": 1}])

        @candidate_task(model="flights")
        def train() -> str:
            return "r" * 32

        decorated = train().operator
    for made in (plain, mapped.unmap({"facts": {"a": 1}}), decorated):
        assert made.retries == 2
        for name, kind in _DEFAULT.items():
            assert isinstance(getattr(made, name), kind)
            assert getattr(made, name)


def test_the_scheduler_reads_the_same() -> None:
    """Before 3.3 the scheduler computes the delay, from the DAG as it was written down."""
    from airflow.serialization.serialized_objects import SerializedDAG

    with DAG("written", schedule=None) as dag:
        LogLineageOperator(task_id="plain")
        LogLineageOperator.partial(task_id="mapped").expand(facts=[{"a": 1}])
    to_dict = getattr(SerializedDAG, "to_dict", None) or _serialization().to_dict
    written = to_dict(dag)
    from_dict = getattr(SerializedDAG, "from_dict", None) or _serialization().from_dict
    for name in ("plain", "mapped"):
        read = from_dict(written).get_task(name)
        if HAS_POLICIES:
            assert read.has_retry_policy
        else:
            assert read.retry_exponential_backoff


def _serialization() -> Any:
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization


if HAS_POLICIES:
    from airflow.sdk import RetryAction, RetryPolicy

    _DEFAULT: dict[str, Any] = {"retry_policy": RetryPolicy}
    _OWN: Any = None

    def test_the_policy_says_when(note: Any, folder: Path, context: Context) -> None:
        """Retry-After and a lease's end are floors; else the wait is drawn from the window."""
        for error, least, most in (
            (LeaseHeld("busy", retry_after=40), 40, 50),
            (Unreachable("busy", retry_after=400), 400, 500),
            (Unreachable("gone"), 0, 10),
        ):
            decision = note.retry_policy.evaluate(error, 1, 3, context(note))
            assert decision.action is RetryAction.RETRY
            assert timedelta(seconds=least) <= decision.retry_delay <= timedelta(seconds=most)
            assert decision.reason == str(error)

    def test_a_strangers_exception_keeps_airflows_own_delay(
        note: Any, folder: Path, context: Context
    ) -> None:
        """The policy steps back, once the retry is paid for."""
        decision = note.retry_policy.evaluate(ValueError("a bug"), 1, 3, context(note))
        assert (decision.action, decision.retry_delay) == (RetryAction.DEFAULT, None)

    @pytest.mark.parametrize("error", [NotFound("no model"), ValueError("a bug")])
    def test_the_policy_fits_any_task(error: Exception, context: Context) -> None:
        """Given to a task of somebody else, it decides alike, with or without a connection."""
        from backbeat_provider.retry_policy import BackbeatRetryPolicy

        other = BaseOperator(task_id="other", retries=3, retry_policy=BackbeatRetryPolicy())
        decision = other.retry_policy.evaluate(error, 1, 3, context(other))
        final = isinstance(error, BackbeatError)
        assert decision.action is (RetryAction.FAIL if final else RetryAction.DEFAULT)

    def test_without_a_context_airflow_decides(note: Any) -> None:
        """A failure before the task's context was made is Airflow's own."""
        decision = note.retry_policy.evaluate(Unreachable("gone"), 1, 3)
        assert decision.action is RetryAction.DEFAULT

else:
    _DEFAULT = {"retry_exponential_backoff": (bool, int, float)}
    _OWN = type(BaseOperator.retry_exponential_backoff)(0)
