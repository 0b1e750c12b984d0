from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import Dataset
from backbeat.data import FolderStore, open_dataset, references
from backbeat.drift import Profile, build_profile
from backbeat.drift.backfill import backfill
from backbeat.drift.history import Monitor

Make = Callable[..., Any]
Dump = Callable[[Path], dict[str, bytes]]
MONITOR = "monitors/parcels"
DATA = "landing/{day}.parquet"
QUIET, NEAR = "2024-03-02", "2024-03-03"


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory, landed: Callable[[Path], None]) -> Path:
    """A store with days in it, and a calibrated monitor: four weeks, and 32 days counted."""
    root = tmp_path_factory.mktemp("calibrated")
    landed(root / "landing")
    store, monitor = FolderStore(root), Monitor(FolderStore(root), MONITOR)
    weeks = Dataset(uri=DATA, until=date(2024, 1, 28), days=28)
    span = "2024-01-01/2024-01-28"
    reference = build_profile(open_dataset(store, references(store, weeks)), partition=span)
    monitor.pin(reference)
    backfill(monitor, reference, Dataset(uri=DATA, until=date(2024, 3, 1), days=33), store=store)
    return root


@pytest.fixture
def store(folder: Path, calibrated: Path) -> Path:
    """The platform's store, a copy of its own."""
    shutil.copytree(calibrated, folder / "store")
    return folder / "store"


@pytest.fixture
def monitor(store: Path) -> Path:
    """The monitor's folder."""
    return store / MONITOR


@pytest.fixture
def check(backbeat: Make) -> Make:
    """Checks one day against the monitor."""

    def run(day: str, *words: object) -> Any:
        return backbeat("drift", "check", DATA, "--monitor", MONITOR, "--partition", day, *words)

    return run


@pytest.fixture
def rules(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of rules."""

    def write(content: Any = None, **fields: Any) -> Path:
        path = tmp_path / "rules.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content or fields))
        return path

    return write


class TestCheck:
    def test_a_quiet_day_is_stable(self, check: Make, monitor: Path) -> None:
        """Exit code 0; the batch and its decision become a part of the history."""
        told = check(QUIET, "--json")

        assert told.code == 0
        assert (told.json["verdict"], told.json["calibrated"]) == ("stable", True)
        assert told.json["history_batches"] >= 28
        (folder,) = {path.parent for path in monitor.glob(f"*/{QUIET}.json")}
        assert told.json["batch"] == f"{MONITOR}/{folder.name}/{QUIET}.json"
        kept = json.loads((folder / f"{QUIET}.decision.json").read_text())
        assert kept["decision"]["verdict"] == "stable"
        assert kept["reference"].startswith("sha256:")

    def test_nearer_parcels_are_drift(self, check: Make, monitor: Path, tmp_path: Path) -> None:
        """Exit code 1, the column is named, and the report is written."""
        told = check(NEAR, "--report", tmp_path / "r.html")

        assert told.code == 1
        assert "Look at distance_km first" in told.out
        assert "distance_km" in (tmp_path / "r.html").read_text()

    def test_checking_again_gives_the_same(
        self, check: Make, monitor: Path, folder_dump: Dump
    ) -> None:
        """A batch is not its own history, nor is a later one: the files stay as they are."""
        first = check(QUIET, "--json")
        check(NEAR)
        before = folder_dump(monitor)

        assert check(QUIET, "--json").json == first.json
        assert folder_dump(monitor) == before

    def test_a_dry_run_writes_nothing(self, check: Make, monitor: Path, folder_dump: Dump) -> None:
        """The verdict is shown, and neither batch nor report is kept."""
        before = folder_dump(monitor.parents[1])

        assert check(NEAR, "--dry-run", "--report", "r.html").code == 1
        assert folder_dump(monitor.parents[1]) == before

    def test_without_a_monitor_a_profile_is_enough(
        self, backbeat: Make, monitor: Path, folder_dump: Dump
    ) -> None:
        """Against a profile alone nothing is calibrated and nothing is written."""
        before = folder_dump(monitor.parents[1])
        words = ("--reference", f"{MONITOR}/reference.json")
        told = backbeat("drift", "check", f"landing/{NEAR}.parquet", *words, "--json")

        assert (told.code, told.json["calibrated"]) == (1, False)
        assert folder_dump(monitor.parents[1]) == before

    def test_too_little_data_is_no_pass(self, backbeat: Make, monitor: Path, store: Path) -> None:
        """`insufficient_data` ends with 1, and is said."""
        table = pq.read_table(store / f"landing/{QUIET}.parquet").slice(0, 5)
        pq.write_table(table, store / "few.parquet")
        told = backbeat("drift", "check", "few.parquet", "--reference", f"{MONITOR}/reference.json")

        assert told.code == 1
        assert told.out.startswith("insufficient_data")

    def test_a_policy_says_what_follows(
        self, check: Make, backbeat: Make, monitor: Path, tmp_path: Path, folder_dump: Dump
    ) -> None:
        """The first drifting day retrains; a dry run says so and keeps nothing."""
        policy = tmp_path / "policy.json"
        policy.write_text('{"severity": "low"}')
        before = folder_dump(monitor)
        dry = check(NEAR, "--retrain", policy, "--dry-run", "--json").json
        assert (dry["action"], dry["because"]) == ("retrain", "drift")
        assert folder_dump(monitor) == before
        assert check(QUIET, "--retrain", policy, "--json").json["because"] == "quiet"
        assert "action: retrain" in check(NEAR, "--retrain", policy).out
        history = backbeat("drift", "history", MONITOR)
        assert f"{NEAR} started a retraining: distance_km" in history.out

    def test_a_policy_needs_a_monitor_and_known_words(
        self, check: Make, backbeat: Make, monitor: Path, tmp_path: Path
    ) -> None:
        """A slip is told with what was meant."""
        policy = tmp_path / "policy.json"
        policy.write_text('{"cool_down_day": 3}')
        slip = check(NEAR, "--retrain", policy)
        assert (slip.code, "did you mean cool_down_days" in slip.err) == (6, True)
        words = ("--reference", f"{MONITOR}/reference.json", "--retrain", policy)
        assert backbeat("drift", "check", f"landing/{NEAR}.parquet", *words).code == 2

    def test_rules_decide(self, check: Make, monitor: Path, rules: Callable[..., Path]) -> None:
        """Other thresholds, another verdict; the rules are kept with the decision."""
        told = check(NEAR, "--rules", rules(effect_floor=0.6), "--json")

        assert (told.code, told.json["verdict"]) == (0, "stable")
        (kept,) = monitor.glob(f"*/{NEAR}.decision.json")
        assert json.loads(kept.read_text())["rules"] == {"effect_floor": 0.6}

    def test_same_weekdays_need_days(
        self, backbeat: Make, monitor: Path, rules: Callable[..., Path], folder_dump: Dump
    ) -> None:
        """A partition that is no day cannot be compared with its weekday."""
        file, before = rules(against="weekday"), folder_dump(monitor)
        words = ("--monitor", MONITOR, "--rules", file)
        data = f"landing/{QUIET}.parquet"
        told = backbeat("drift", "check", data, *words, "--partition", "batch 7")
        weekday = backbeat("drift", "check", data, *words, "--partition", QUIET, "--json")

        assert told.code == 6
        assert "'batch 7' is no" in told.err
        assert "rolling" in told.err.partition("hint: ")[2]
        assert weekday.json["reference_title"] == "the last 3 Saturdays"
        assert {*folder_dump(monitor)} - {*before} == {
            f"{path.parent.name}/{path.name}" for path in monitor.glob(f"*/{QUIET}.*")
        }

    def test_a_reference_that_holds_the_batch_is_refused(
        self, check: Make, monitor: Path, folder_dump: Dump
    ) -> None:
        """A day that the reference was made from would always look like it."""
        before = folder_dump(monitor)
        told = check("2024-01-05")

        assert told.code == 6
        assert "contains the batch 2024-01-05 itself" in told.err
        assert folder_dump(monitor) == before

    def test_a_broken_batch_is_kept_and_does_no_harm(
        self, check: Make, monitor: Path, store: Path, rules: Callable[..., Path]
    ) -> None:
        """A day without a column is broken; later days are compared with the others."""
        day = store / f"landing/{QUIET}.parquet"
        pq.write_table(pq.read_table(day).drop_columns(["depot"]), day)
        broken = check(QUIET, "--json")
        told = check(NEAR, "--rules", rules(against="rolling"), "--json")

        assert (broken.code, broken.json["verdict"]) == (1, "broken")
        assert (told.code, told.json["verdict"]) == (1, "drifted")

    def test_names_from_the_data_are_shown_as_text(
        self, backbeat: Make, store: Path, tmp_path: Path
    ) -> None:
        """HTML in a column's or category's name reaches neither terminal nor page as such."""
        bad = "<script>alert(1)</script>[red]\x1b[2J"
        for name, value in (("a", "x"), ("b", "<img src=x>")):
            pq.write_table(pa.table({bad: [value] * 500}), store / f"{name}.parquet")
        backbeat("profile", "build", "a.parquet", "-o", "a.json")
        words = ("--reference", "a.json", "--report", tmp_path / "r.html")
        told = backbeat("drift", "check", "b.parquet", *words)
        page = (tmp_path / "r.html").read_text()

        assert told.code == 1
        assert "\x1b" not in told.out
        assert "<script>alert(1)</script>" in told.out
        assert "<script>alert" not in page
        assert "<img src=x" not in page

    @pytest.mark.parametrize(
        "words",
        [(), ("--monitor", MONITOR), ("--monitor", MONITOR, "--reference", "p.json")],
    )
    def test_what_to_compare_with_must_be_said(
        self, backbeat: Make, words: tuple[str, ...]
    ) -> None:
        """Neither, both, or a monitor without a partition are wrong usage."""
        assert backbeat("drift", "check", DATA, *words).code == 2


class TestHistory:
    def test_shows_a_line_a_column(self, backbeat: Make, check: Make, monitor: Path) -> None:
        """Effects from batch to batch, alarms and the latest of them."""
        check(QUIET)
        check(NEAR)
        told = backbeat("drift", "history", MONITOR)
        found = backbeat("drift", "history", MONITOR, "--json").json

        assert told.out.startswith(f"{MONITOR}: 34 batches, 2024-01-29 to {NEAR}")
        assert "█" in told.out
        assert set(found) == {"weight_kg", "distance_km", "depot"}
        assert (found["distance_km"]["alarms"], found["weight_kg"]["alarms"]) == (1, 0)
        verdicts = [point["verdict"] for point in found["distance_km"]["points"]]
        assert verdicts == [None] * 32 + ["stable", "drifted"]
        assert all(point["effect"] is not None for point in found["depot"]["points"])

    def test_one_column_batch_by_batch(self, backbeat: Make, check: Make, monitor: Path) -> None:
        """A row a batch, with the checks that fired and what people said."""
        check(NEAR)
        backbeat("drift", "acknowledge", MONITOR, NEAR, "--reason", "moved")
        last = backbeat("drift", "history", MONITOR, "--column", "distance_km").out.splitlines()[-1]

        assert last.startswith(NEAR)
        assert "drifted" in last
        assert last.rstrip().endswith("acknowledged")

    def test_a_torn_batch_is_left_out(
        self, backbeat: Make, monitor: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The others are shown, and a warning names the file."""
        (torn,) = monitor.glob("*/2024-02-02.json")
        torn.write_bytes(torn.read_bytes()[:100])
        told = backbeat("drift", "history", MONITOR)

        assert told.code == 0
        assert "31 batches" in told.out
        assert "2024-02-02.json" in caplog.text


class TestMarks:
    def test_a_muted_column_raises_no_alarm(
        self, backbeat: Make, check: Make, monitor: Path
    ) -> None:
        """It holds for the batch of its last day, and not for the next."""
        words = ("--reason", "new scales")
        told = backbeat("drift", "mute", MONITOR, "distance_km", "--until", NEAR, *words)
        muted = check(NEAR, "--json")
        backbeat("drift", "mute", MONITOR, "distance_km", "--until", QUIET, *words)
        heard = check(NEAR, "--json")

        assert told.out == f"distance_km is muted until {NEAR}\n"
        assert (muted.code, muted.json["verdict"]) == (0, "stable")
        column = next(each for each in muted.json["columns"] if each["name"] == "distance_km")
        assert (column["verdict"], column["muted_until"]) == ("drifted", NEAR)
        assert (heard.code, heard.json["verdict"]) == (1, "drifted")

    def test_an_acknowledged_batch_is_expected(
        self, backbeat: Make, check: Make, monitor: Path, store: Path
    ) -> None:
        """What looks like an acknowledged batch is ordinary."""
        check(NEAR)
        next_day = "2024-03-04"
        source = store / f"landing/{NEAR}.parquet"
        (store / f"landing/{next_day}.parquet").write_bytes(source.read_bytes())
        assert check(next_day, "--dry-run").code == 1
        backbeat("drift", "acknowledge", MONITOR, NEAR, "--reason", "moved for good")

        assert check(next_day).code == 0

    def test_a_dry_run_says_nothing_for_good(
        self, backbeat: Make, monitor: Path, folder_dump: Dump
    ) -> None:
        """Neither mark is written."""
        before = folder_dump(monitor)
        words = ("--reason", "x", "--dry-run")
        muted = backbeat("drift", "mute", MONITOR, "depot", "--until", NEAR, *words)
        said = backbeat("drift", "acknowledge", MONITOR, "2024-02-02", *words)

        assert (muted.code, said.code) == (0, 0)
        assert "would be" in muted.out
        assert folder_dump(monitor) == before


class TestBacktest:
    def test_says_what_would_change_and_writes_nothing(
        self,
        backbeat: Make,
        check: Make,
        monitor: Path,
        store: Path,
        rules: Callable[..., Path],
        folder_dump: Dump,
    ) -> None:
        """It needs the profiles alone: the raw data may be gone."""
        check(NEAR)
        for file in (store / "landing").iterdir():
            file.unlink()
        before = folder_dump(store)
        words = ("--from", "2024-03-01", "--rules")
        looser = backbeat("drift", "backtest", MONITOR, *words, rules(effect_floor=0.6), "--json")
        same = backbeat("drift", "backtest", MONITOR, *words, rules({}), "--json")

        assert {name: looser.json[name] for name in ("batches", "alarms_now", "alarms_then")} == {
            "batches": 2,
            "alarms_now": 1,
            "alarms_then": 0,
        }
        assert [day["partition"] for day in looser.json["days"]] == [NEAR]
        assert looser.json["days"][0]["then"]["verdict"] == "stable"
        assert (same.json["alarms_then"], same.json["changed"]) == (1, 0)
        assert folder_dump(store) == before

    def test_counts_the_retrainings_of_a_policy(
        self, backbeat: Make, check: Make, monitor: Path, rules: Callable[..., Path], tmp_path: Path
    ) -> None:
        """What drift would have started, by the verdicts that were given and by other rules."""
        check(NEAR)
        policy = tmp_path / "policy.json"
        policy.write_text("{}")
        words = ("--rules", rules(effect_floor=0.6), "--retrain", policy, "--from", "2024-03-01")
        found = backbeat("drift", "backtest", MONITOR, *words, "--json").json
        assert (found["retrainings_now"], found["retrainings_then"]) == ([NEAR], [])
        told = backbeat("drift", "backtest", MONITOR, *words).out
        assert "1 retrainings now, 0 by these rules" in told

    @pytest.mark.parametrize(
        ("content", "says", "hint"),
        [
            ("{", "is not JSON", "effect_floor"),
            ('{"effekt_floor": 1}', "effekt_floor", "did you mean effect_floor?"),
            ('{"q": 2}', "q: ", "q, effect_floor"),
            ("[]", "holds no rules", "q, effect_floor"),
        ],
    )
    def test_bad_rules_are_explained(
        self, backbeat: Make, rules: Callable[..., Path], content: str, says: str, hint: str
    ) -> None:
        """Every slip in the file says what is meant."""
        told = backbeat("drift", "backtest", MONITOR, "--rules", rules(content))

        assert told.code == 6
        assert says in told.err
        assert hint in told.err.partition("hint: ")[2]


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (("history", "monitors/parcel"), "no monitor under 'monitors/parcel'", "profile build"),
        (("history", MONITOR, "--column", "distance"), "no column 'distance'", "distance_km?"),
        (("mute", MONITOR, "weigth_kg"), "no column 'weigth_kg'", "did you mean weight_kg?"),
        (("mute", MONITOR, "depot", "--reason", ""), "reason", "say who and why"),
        (("acknowledge", MONITOR, "2024-02-30"), "no batch '2024-02-30'", "did you mean 2024-02"),
        (("acknowledge", "monitors/none", "x"), "no monitor", "profile build"),
    ],
)
def test_every_error_says_what_to_do(
    backbeat: Make,
    monitor: Path,
    folder_dump: Dump,
    words: tuple[str, ...],
    says: str,
    hint: str,
) -> None:
    """Bad input ends with 6, gives a hint, and changes nothing."""
    before = folder_dump(monitor.parents[1])
    if words[0] == "mute":
        words = (*words, "--until", NEAR)
    if words[0] != "history" and "--reason" not in words:
        words = (*words, "--reason", "x")
    told = backbeat("drift", *words)

    assert told.code == 6, told.err
    assert says in told.err
    assert hint in told.err.partition("hint: ")[2]
    assert folder_dump(monitor.parents[1]) == before


def test_a_damaged_reference_is_final(backbeat: Make, check: Make, monitor: Path) -> None:
    """A torn reference is an error, never a pass."""
    reference = monitor / "reference.json"
    reference.write_bytes(reference.read_bytes()[:200])

    assert check(QUIET).code == 6
    assert backbeat("drift", "history", MONITOR).code == 6


def test_another_reference_begins_another_history(
    backbeat: Make, check: Make, monitor: Path
) -> None:
    """After a retraining the old history is not mixed in; the check is not calibrated."""
    words = ("--until", "2024-02-08", "--days", "10", "-o", f"{MONITOR}/reference.json")
    backbeat("profile", "build", DATA, *words)
    told = check(QUIET, "--json")

    assert (told.json["calibrated"], told.json["history_batches"]) == (False, 0)
    digest = Profile.from_bytes((monitor / "reference.json").read_bytes()).edges_digest
    assert [path.name for path in (monitor / digest[:12]).glob("*.json")]
