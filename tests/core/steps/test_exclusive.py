"""Two runs of the same night at once: one run, one version, one alias move."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import parcels
import pytest
from parcels import MODEL, Season, built_once, training

from backbeat import Done
from backbeat.errors import LeaseHeld

EXAMPLE = Path(parcels.__file__).parent

# what an orchestrator does: perform, and try again where the error says that it can help
NIGHT = """
import json, sys, time
from pathlib import Path
folder, run, example = sys.argv[1:]
sys.path.append(example)
from parcels import MODEL, Season, comparison, promotion, step, training
from backbeat import Actor, Waiting, resume_step
from backbeat.errors import BackbeatError
from backbeat.signoff import read_request, vote

season = Season(Path(folder))
tries = 0

def perform(task, name):
    global tries
    for attempt in range(1, 200):
        try:
            return season.run(task, run=run, task=name, attempt=attempt)
        except BackbeatError as error:
            if not error.retryable:
                raise
            tries += 1
            time.sleep(0.1)
    raise SystemExit("never came through: " + name)

ended = {}
trained = perform(
    training("landing/parcels/2024-05-02.parquet", function="parcels:train_when_told",
             data={"features": "landing/parcels/2024-05-02.parquet",
                   "labels": "landing/late/2024-05-02.parquet"}), "train").value
candidate = perform(step("model.candidate", model=MODEL, source=trained["model_uri"],
                         trained_through="2024-05-02"), "candidate").value
compared = perform(comparison(challenger=candidate["uri"]), "compare").value
about = {"model": MODEL, "version": candidate["version"]}
waiting = perform(step("signoff.request", subject="tonight", about=about,
                       evidence={"digest": compared["evidence"]}), "ask")
assert isinstance(waiting, Waiting), waiting
shown = read_request(season.platform.ledger, waiting.request_id).request
for person in ("ana", "ben"):
    vote(season.platform.ledger, waiting.request_id, choice="approve",
         actor=Actor(id=person, method="cli"), evidence_digest=shown.evidence_digest)
approved = resume_step(waiting.request_id, season.platform).value
try:
    promoted = perform(promotion(candidate["version"], request_id=approved["request_id"],
                                 expected=compared["champion_version"]), "promote").value
except BackbeatError as error:
    promoted = {"error": type(error).__name__}
print(json.dumps({"train": trained, "candidate": candidate, "compare": compared,
                  "promote": promoted}))
"""


@dataclass
class Night:
    """What came of two workflow runs of the same night at the same time.

    Args:
        season: Where they ran.
        before: The stores before.
        held: What a second worker of the first run met meanwhile.
        ended: The values of both runs' steps.
    """

    season: Season
    before: dict[str, Any]
    held: dict[str, Any]
    ended: list[dict[str, Any]]


TASK = training(
    "",
    function="parcels:train_when_told",
    data={
        "features": "landing/parcels/2024-05-02.parquet",
        "labels": "landing/late/2024-05-02.parquet",
    },
)


def play(season: Season) -> None:
    """Two processes that train, register, compare, ask, vote and promote, made to overlap."""
    before = season.stores()
    with ExitStack() as started:
        both = []
        for number in (1, 2):
            process = subprocess.Popen(
                [sys.executable, "-c", NIGHT, season.folder, f"manual-{number}", EXAMPLE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=started.enter_context((season.folder / f"stderr-{number}").open("w")),
                text=True,
            )
            started.callback(process.communicate)
            started.callback(process.kill)
            both.append(process)
        said = [process.stdout.readline() for process in both]
        # neither has found a run of this content when both are here
        assert said == ["training\n"] * 2, _stderr(season)
        with pytest.raises(LeaseHeld) as held:
            season.run(TASK, run="manual-1", task="train")
        for process in both:
            process.stdin.write("go on\n" * 100)
            process.stdin.flush()
        said = [next((line for line in each.stdout if line[0] == "{"), "") for each in both]
        assert all(said), _stderr(season)
        assert [process.wait() for process in both] == [0, 0]
    story = {"before": before, "held": held.value.as_json(), "ended": list(map(json.loads, said))}
    (season.folder / "night.json").write_text(json.dumps(story))


def _stderr(season: Season) -> list[str]:
    return [file.read_text()[-2000:] for file in sorted(season.folder.glob("stderr-*"))]


@pytest.fixture
def night(played: Season, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Night:
    """What came of it; played once, and copied for each test."""
    season = built_once(tmp_path_factory, "night", play, copied_from=played)
    season = season.copy_to(tmp_path / "night")
    return Night(season, **json.loads((season.folder / "night.json").read_text()))


def made(night: Night, what: str) -> list[tuple[Any, ...]]:
    """What MLflow holds now and did not before."""
    rows: list[tuple[Any, ...]] = night.season.stores()["mlflow"][what]
    return [row for row in rows if list(row) not in night.before["mlflow"][what]]


def test_one_run_and_one_version(night: Night) -> None:
    """The same content is one run, one model and one version, and both nights name it."""
    ours, theirs = night.ended

    assert made(night, "runs") == [(ours["train"]["run_id"], "FINISHED")]
    assert len(made(night, "logged_models")) == 1
    assert made(night, "model_versions") == [(MODEL, 3)]
    assert ours["train"]["run_id"] == theirs["train"]["run_id"]
    assert ours["candidate"] == theirs["candidate"]
    assert [each["train"]["reused"] for each in night.ended].count(False) == 1


def test_one_move_of_the_alias(night: Night) -> None:
    """One night moves the alias; the other finds it moved, or that its evidence is stale."""
    assert made(night, "aliases") == [(MODEL, "champion", 3)]
    promoted = [each["promote"] for each in night.ended]
    assert [each.get("changed") for each in promoted].count(True) == 1
    for each in promoted:
        assert "changed" in each or each == {"error": "Conflict"}


def test_each_night_has_its_own_sign_off(night: Night) -> None:
    """Both asked, both were answered: an approval is not shared between runs."""
    streams = night.season.stores()["ledger"]["streams"]

    assert [state for _, state, _ in streams] == ["approved", "approved"]


def test_nothing_is_left_behind(night: Night) -> None:
    """No lock is held, no work is claimed, no file is unfinished, the audit log is whole."""
    after = night.season.stores()

    assert after["ledger"]["locks"] == []
    assert {state for _, state, _ in after["ledger"]["finished"]} == {"done"}
    assert not [key for key in after["store"] if ".unfinished" in key]
    assert night.season.platform.ledger.check()["audit_broken"] == []


def test_the_same_run_twice_at_once(night: Night) -> None:
    """While one worker performs a piece of work, a second gets LeaseHeld and starts nothing."""
    assert night.held["error"] == "LeaseHeld"
    assert night.held["message"].startswith(
        "model.train/v1 for train of manual-1 is being performed by another worker, whose lease"
    )
    assert night.held["hint"] == "let it finish, or wait until its lease has ended"
    assert night.held["retryable"] is True
    assert 0 < night.held["retry_after"] <= 60


def test_a_retry_after_the_other_worker(night: Night) -> None:
    """Once the other worker is through, the second one finds what it made."""
    outcome = night.season.run(TASK, run="manual-1", task="train", attempt=2)

    assert isinstance(outcome, Done)
    assert outcome.value == {**night.ended[0]["train"], "reused": True}
