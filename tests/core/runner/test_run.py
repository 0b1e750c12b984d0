from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from backbeat import Actor, Blocked, Done, Platform, RunIdentity, Step, Waiting, embedded, run_step
from backbeat.errors import (
    BackbeatError,
    InvalidData,
    InvalidStep,
    NotFound,
    Refused,
    UnmetNeed,
    Unreachable,
    UserCodeFailed,
)
from backbeat.ports import Need
from backbeat.step import Replay

Make = Callable[..., Any]
SECRET = "s3cr3t-pa55"  # noqa: S105 - what must not be found
LEAKY = f"cannot reach postgresql://bob:{SECRET}@db/x with token={SECRET}"


def test_a_retry_of_finished_work_gets_the_recorded_outcome(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """A Done is handed out again, equal to the first, without performing again."""
    performed: list[int] = []

    def perform(ctx: Any) -> Done:
        performed.append(ctx.identity.attempt)
        return Done(value={"n": len(performed)}, metrics={"m": 1.5})

    step = step_of(perform)
    first = run_step(step, attempt(), platform)
    again = run_step(step, attempt(attempt=2), platform)
    assert again == first
    assert performed == [1]


def test_a_crash_after_the_commit_is_replayed_by_another_process(
    tmp_path: Path, start_python: Make, worker: str, slow: Any, rows: Make
) -> None:
    """Killed between the finish and its return, the next attempt gets what was recorded."""
    killed = worker + (
        "\nimport os\nfrom backbeat.runner import run\n"
        "run.drain_soon = lambda platform: os.kill(os.getpid(), 9)\nwork(sys.argv[1])"
    )
    process = start_python(killed, tmp_path)
    out, _ = process.communicate("\n", timeout=60)
    assert process.returncode == -9
    assert out == "performing\n"
    outcome = run_step(slow.Slow(), slow.identity(attempt=2), embedded(tmp_path, registry=False))
    assert outcome == Done(value={"by": "worker"})
    assert rows(tmp_path / "ledger.db", "SELECT token, ending FROM backbeat_attempts") == [
        {"token": 1, "ending": "done"}
    ]


def test_a_failed_attempt_performs_again(platform: Platform, attempt: Make, step_of: Make) -> None:
    """A failure is recorded, and the next attempt performs and can end well."""
    outcomes: Iterator[Any] = iter([Unreachable("the server is away"), Done(value={"ok": True})])

    def perform(ctx: Any) -> Done:
        found = next(outcomes)
        if isinstance(found, Exception):
            raise found
        return Done.model_validate(found)

    step = step_of(perform)
    with pytest.raises(Unreachable, match="the server is away"):
        run_step(step, attempt(), platform)
    [failed] = platform.ledger.runs()
    assert failed.state == "failed"
    assert failed.outcome is not None
    assert failed.outcome["retryable"] is True
    assert run_step(step, attempt(attempt=2), platform) == Done(value={"ok": True})
    [done] = platform.ledger.runs()
    assert (done.state, done.token) == ("done", 2)


def test_another_workflow_run_performs_again(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """A person's clear, which is another workflow run, replays nothing."""
    performed: list[str] = []

    def perform(ctx: Any) -> Done:
        performed.append(ctx.identity.run)
        return Done()

    step = step_of(perform)
    run_step(step, attempt(run="run-1"), platform)
    run_step(step, attempt(run="run-1:cleared"), platform)
    assert performed == ["run-1", "run-1:cleared"]


@pytest.mark.parametrize("replay", [Replay.VERIFY, Replay.CONTENT])
def test_steps_that_look_at_the_world_perform_again(
    platform: Platform, attempt: Make, step_of: Make, replay: Replay
) -> None:
    """With `verify` and `content`, a retry of a Done performs."""
    performed: list[int] = []

    def perform(ctx: Any) -> Done:
        performed.append(1)
        return Done()

    step = step_of(perform, replay=replay)
    for number in (1, 2):
        run_step(step, attempt(attempt=number), platform)
    assert len(performed) == 2


def test_other_inputs_are_other_work(platform: Platform, attempt: Make, step_of: Make) -> None:
    """What a floating input resolves to is part of the key: a moved alias performs again."""
    versions = iter(["models:/m/1", "models:/m/2", "models:/m/2"])
    performed: list[str] = []

    def perform(ctx: Any) -> Done:
        performed.append(ctx.inputs["model"])
        return Done()

    step = step_of(perform, resolve=lambda ctx: {"model": next(versions)})
    for number in (1, 2, 3):
        run_step(step, attempt(attempt=number), platform)
    assert performed == ["models:/m/1", "models:/m/2"]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Blocked(reason="broken data"), "blocked"), (Waiting(request_id="so-1"), "waiting")],
)
def test_blocked_and_waiting_never_replay(
    platform: Platform, attempt: Make, step_of: Make, outcome: Any, state: str
) -> None:
    """A gate looks again and a parked step asks again, whoever comes back."""
    performed: list[int] = []

    def perform(ctx: Any) -> Any:
        performed.append(1)
        return outcome

    step = step_of(perform)
    for number in (1, 2):
        assert run_step(step, attempt(attempt=number), platform) == outcome
    assert len(performed) == 2
    assert platform.ledger.runs()[0].state == state


@pytest.mark.parametrize(
    ("need", "message"),
    [
        (Need.LEDGER, "toy.step/v1 needs a ledger (rung 1), and {platform} has none"),
        (Need.REGISTRY, "toy.step/v1 needs a registry (rung 0), and {platform} has none"),
    ],
)
def test_an_unmet_need_is_named_before_any_work(
    tmp_path: Path, attempt: Make, step_of: Make, need: Need, message: str
) -> None:
    """The missing part and its rung are in the error, nothing performs, no file appears."""
    platform = embedded(tmp_path / "p", ledger=False, registry=False)
    step = step_of(lambda ctx: pytest.fail("it performed"), needs=frozenset({need}))
    with pytest.raises(UnmetNeed) as caught:
        run_step(step, attempt(), platform)
    assert caught.value.message == message.format(platform=f"the platform in {tmp_path / 'p'}")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_on_record_and_is_no_failure(
    platform: Platform, attempt: Make, step_of: Make, ledger_file: Path, rows: Make
) -> None:
    """Policy's no is `denied` and audited as `refused`; an error is `failed` in both places."""
    refused = step_of(lambda ctx: pytest.fail("it performed"))
    with pytest.raises(Refused, match="anonymous, which is refused"):
        run_step(refused, attempt(actor={"id": "?", "method": "anonymous"}), platform)

    def fail(ctx: Any) -> Done:
        raise InvalidData("it is empty")

    with pytest.raises(InvalidData):
        run_step(step_of(fail, note="other"), attempt(), platform)
    assert {record.state for record in platform.ledger.runs()} == {"denied", "failed"}
    query = "SELECT action, outcome FROM backbeat_audit_log ORDER BY position"
    assert [tuple(row.values()) for row in rows(ledger_file, query)] == [
        ("run.start", "refused"),
        ("run.start", "ok"),
        ("run.finish", "failed"),
    ]


def test_work_that_was_refused_can_be_done_by_somebody_else(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """A refusal does not burn the work: an allowed actor performs it under the same key."""
    step = step_of(lambda ctx: Done())
    with pytest.raises(Refused):
        run_step(step, attempt(actor={"id": "?", "method": "anonymous"}), platform)
    assert run_step(step, attempt(), platform) == Done()
    [record] = platform.ledger.runs()
    assert (record.state, record.token) == ("done", 1)


def test_a_refusal_leaves_recorded_work_alone(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """Refused work that is done already stays done, and the refusal is audited beside it."""
    step = step_of(lambda ctx: Done(value={"n": 1}))
    run_step(step, attempt(), platform)
    with pytest.raises(Refused):
        run_step(step, attempt(actor={"id": "?", "method": "anonymous"}), platform)
    [record] = platform.ledger.runs()
    assert record.state == "done"
    assert platform.ledger.check()["audit_entries"] == 3


@pytest.mark.parametrize("error", [NotFound("there is no model m"), ValueError("a bug")])
def test_an_input_that_is_missing_is_a_recorded_failure(
    platform: Platform, attempt: Make, step_of: Make, error: Exception
) -> None:
    """What cannot be resolved fails before a lease is taken, and says so in the ledger."""

    def resolve(ctx: Any) -> dict[str, str]:
        raise error

    step = step_of(lambda ctx: pytest.fail("it performed"), resolve=resolve)
    with pytest.raises(type(error)):
        run_step(step, attempt(), platform)
    [record] = platform.ledger.runs()
    assert (record.state, record.token, record.owner) == ("failed", 0, None)
    assert record.outcome is not None
    assert record.outcome["error"] == type(error).__name__
    assert record.inputs == {"unresolved": type(error).__name__}


def test_a_step_costs_two_commits_and_holds_none_while_performing(
    platform: Platform, attempt: Make, step_of: Make, ledger_file: Path
) -> None:
    """One commit before and one after; in between, another connection writes without waiting."""
    commits: list[str] = []
    ledger: Any = platform.ledger
    engine = ledger._db._open()
    event.listen(engine, "commit", lambda connection: commits.append("commit"))

    def perform(ctx: Any) -> Done:
        commits.append("perform")
        with closing(sqlite3.connect(ledger_file, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("CREATE TABLE somebody_else (id INTEGER)")
            other.execute("COMMIT")
        return Done()

    run_step(step_of(perform), attempt(), platform)
    assert commits == ["commit", "perform", "commit"]
    assert engine.pool.checkedout() == 0


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "toy.step/v1 returned NoneType, not an outcome"),
        ({"value": 1}, "toy.step/v1 returned dict, not an outcome"),
        (Done(value={"x": float("nan")}), "toy.step/v1 returned an outcome that is not JSON"),
        (Done(value={"x": object()}), "toy.step/v1 returned an outcome that is not JSON"),
    ],
)
def test_an_outcome_that_cannot_be_recorded_is_a_failure(
    platform: Platform, attempt: Make, step_of: Make, returned: Any, message: str
) -> None:
    """A step that returns nonsense fails with a remedy, and its lease is given back."""
    with pytest.raises(UserCodeFailed) as caught:
        run_step(step_of(lambda ctx: returned), attempt(), platform)
    assert caught.value.message.startswith(message)
    [record] = platform.ledger.runs()
    assert (record.state, record.owner) == ("failed", None)


def test_a_step_with_a_value_that_is_not_json_is_refused(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """Text that no JSON can hold, deep in a free field, is named before anything is recorded."""
    with pytest.raises(InvalidStep, match="holds a value that JSON cannot say"):
        run_step(step_of(lambda ctx: Done(), note={"a": ["\ud800"]}), attempt(), platform)
    assert platform.ledger.runs() == []


def test_an_interrupted_step_is_recorded_as_failed(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """Ctrl-C while performing gives the lease back at once."""

    def interrupt(ctx: Any) -> Done:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(step_of(interrupt), attempt(), platform)
    [record] = platform.ledger.runs()
    assert (record.state, record.owner) == ("failed", None)


def _raise(error: Exception) -> Any:
    def perform(ctx: Any) -> Done:
        raise error

    return perform


@pytest.mark.parametrize(
    "perform",
    [
        _raise(Unreachable(LEAKY, hint=f"try password={SECRET}")),
        _raise(RuntimeError(LEAKY)),
        lambda ctx: Blocked(reason=LEAKY),
    ],
    ids=["our error", "a foreign error", "a gate's reason"],
)
def test_secrets_reach_no_record(
    *,
    platform: Platform,
    attempt: Make,
    step_of: Make,
    ledger_file: Path,
    ledger_dump: Make,
    perform: Any,
) -> None:
    """Credentials in an error or a reason are gone from the runs, the outbox and the audit log."""
    with suppress(BackbeatError, RuntimeError):
        run_step(step_of(perform), attempt(), platform)
    everything = "\n".join(ledger_dump(ledger_file))
    assert "cannot reach postgresql://***@db/x" in everything
    assert SECRET not in everything
    assert SECRET.encode().hex() not in everything.lower()


def test_a_step_sees_only_the_ports_that_it_declared(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """An undeclared port is refused by name, though the platform has it."""
    with pytest.raises(UnmetNeed) as caught:
        run_step(step_of(lambda ctx: ctx.store), attempt(), platform)
    assert caught.value.message == "toy.step/v1 uses a store that it did not declare in `needs`"
    assert caught.value.hint == "add Need.STORE to Toy.needs"


def test_effect_ids_belong_to_the_work_or_to_the_content(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """Without content an effect is the run's own; with content two runs share it."""
    seen: list[tuple[str, str]] = []

    def perform(ctx: Any) -> Done:
        seen.append((ctx.effect_id("x"), ctx.effect_id("x", content={"a": 1})))
        return Done()

    step: Step = step_of(perform, replay=Replay.CONTENT)
    identities: list[RunIdentity] = [attempt(), attempt(attempt=2), attempt(run="run-2")]
    for identity in identities:
        run_step(step, identity, platform)
    own, shared = zip(*seen, strict=True)
    assert own[0] == own[1] != own[2]
    assert len(set(shared)) == 1


def test_an_actor_id_is_only_in_erasable_rows(
    platform: Platform, attempt: Make, step_of: Make, ledger_file: Path, rows: Make
) -> None:
    """Who started a run enters the audit log as a commitment."""
    run_step(step_of(lambda ctx: Done()), attempt(actor=Actor(id="dora", method="cli")), platform)
    bodies = rows(ledger_file, "SELECT body FROM backbeat_audit_log")
    assert all(b"dora" not in row["body"] for row in bodies)
    [first, _] = rows(ledger_file, "SELECT value FROM backbeat_audit_private")
    assert first["value"] == b'"dora"'
