from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import embedded
from backbeat.drift import Profile

Make = Callable[..., Any]
REFERENCE = "monitors/parcels/reference.json"
WINDOW = ("landing/{day}.parquet", "--until", "2024-01-28", "--days", "28")
DAY = "landing/2024-03-02.parquet"


@pytest.fixture
def store(folder: Path, landed: Callable[[Path], None]) -> Path:
    """The platform's store, with days in it."""
    landed(folder / "store" / "landing")
    return folder / "store"


@pytest.fixture
def reference(backbeat: Make, store: Path) -> Path:
    """A monitor's reference: four weeks."""
    assert backbeat("profile", "build", *WINDOW, "-o", REFERENCE).code == 0
    return store / REFERENCE


class TestBuild:
    def test_keeps_what_it_counted(self, backbeat: Make, store: Path) -> None:
        """The profile is in the store under its key; its rows and columns are printed."""
        told = backbeat("profile", "build", *WINDOW, "-o", "p.json", "--columns", "depot", "--json")

        assert told.json == {"profile": "p.json", "files": 28, "rows": 56000, "columns": 1}
        profile = Profile.from_bytes((store / "p.json").read_bytes())
        assert (profile.rows, list(profile.columns)) == (56000, ["depot"])
        assert profile.partition == "2024-01-01/2024-01-28"

    def test_counts_on_the_edges_of_another(self, backbeat: Make, reference: Path) -> None:
        """With --edges-from, two profiles have the same edges."""
        backbeat("profile", "build", DAY, "-o", "day.json", "--edges-from", REFERENCE)

        day = Profile.from_bytes((reference.parents[2] / "day.json").read_bytes())
        assert day.edges_digest == Profile.from_bytes(reference.read_bytes()).edges_digest

    def test_watches_segments_and_conditions(self, backbeat: Make, store: Path) -> None:
        """Options reach the profile: kinds, conditional checks, segments, the batch's name."""
        words = ("--given", "weight_kg=distance_km", "--by", "depot", "--partition", "2024-03-02")
        told = backbeat("profile", "build", DAY, "-o", "p.json", *words, "--kind", "depot=text")
        profile = Profile.from_bytes((store / "p.json").read_bytes())

        assert told.code == 0
        assert {"weight_kg given distance_km", "depot:length"} <= set(profile.columns)
        assert set(profile.segments) >= {"depot=north", "depot=south", "depot=harbour"}
        assert profile.partition == "2024-03-02"

    def test_a_dry_run_writes_nothing(
        self, backbeat: Make, store: Path, folder_dump: Callable[[Path], dict[str, bytes]]
    ) -> None:
        """It says what would be profiled and where it would go."""
        before = folder_dump(store.parent)
        told = backbeat("profile", "build", *WINDOW, "-o", "p.json", "--dry-run")

        assert told.code == 0
        assert "would be profiled to p.json" in told.out
        assert folder_dump(store.parent) == before

    def test_paths_are_files(self, backbeat: Make, store: Path, tmp_path: Path) -> None:
        """What begins with / or ./ is a path, on both ends."""
        data, goal = store / DAY, tmp_path / "out" / "p.json"
        assert backbeat("profile", "build", data, "-o", goal).code == 0
        assert backbeat("profile", "show", goal, "--json").json["rows"] == 2000

    def test_a_folder_is_enough(
        self,
        backbeat: Make,
        store: Path,
        monkeypatch: pytest.MonkeyPatch,
        start_python: Make,
    ) -> None:
        """Without a platform, names are keys of the current folder."""
        monkeypatch.chdir(store)
        process = start_python(
            "from backbeat.cli.main import app; import sys; app(sys.argv[1:])",
            *("profile", "build", DAY, "-o", "here.json"),
        )
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert (store / "here.json").exists()

    def test_binds_to_a_model_version(
        self, backbeat: Make, store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With --model, checks against that version find the profile."""
        monkeypatch.delenv("BACKBEAT_TRACKING_URI")
        import mlflow

        registry = embedded(folder).registry
        registry.ping()
        client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        client.create_registered_model("parcels")
        client.create_model_version("parcels", source="s3://somewhere/model")
        told = backbeat("profile", "build", *WINDOW, "-o", "p.json", "--model", "models:/parcels/1")

        assert told.code == 0, told.err
        assert registry.resolve("models:/parcels/1").tags["backbeat.profile"] == "p.json"
        assert Profile.from_bytes((store / "p.json").read_bytes()).model == "models:/parcels/1"
        checked = backbeat("drift", "check", DAY, "--reference", "models:/parcels/1", "--json")
        assert checked.json["reference_rows"] == 56000


class TestMerge:
    def test_adds_rows(self, backbeat: Make, reference: Path) -> None:
        """Two days together are the profile of both."""
        for day in ("2024-03-01", "2024-03-02"):
            words = ("--edges-from", REFERENCE, "--partition", day, "-o", f"{day}.json")
            backbeat("profile", "build", f"landing/{day}.parquet", *words)
        told = backbeat("profile", "merge", "2024-03-01.json", "2024-03-02.json", "-o", "both.json")
        shown = backbeat("profile", "show", "both.json", "--json").json

        assert told.out == "both.json is 2 profiles: 4000 rows\n"
        assert (shown["rows"], shown["partition"]) == (4000, "2024-03-01/2024-03-02")
        assert backbeat("profile", "merge", "both.json", "-o", "x.json").code == 2
        twice = backbeat("profile", "merge", "2024-03-01.json", "2024-03-01.json", "-o", "x.json")
        assert twice.code == 6
        assert "counted twice" in twice.err
        assert not (reference.parents[2] / "x.json").exists()

    def test_other_edges_do_not_add_up(self, backbeat: Make, reference: Path) -> None:
        """Profiles that were counted on their own edges are refused."""
        backbeat("profile", "build", DAY, "-o", "alone.json")
        told = backbeat("profile", "merge", REFERENCE, "alone.json", "-o", "x.json")

        assert told.code == 6
        assert "other edges" in told.err
        assert backbeat("profile", "diff", REFERENCE, "alone.json").code == 6


class TestDiff:
    def test_says_what_moved(self, backbeat: Make, reference: Path) -> None:
        """Exit code 1 where the second drifted from the first, and the column is named."""
        words = ("--until", "2024-03-03", "--edges-from", REFERENCE)
        backbeat("profile", "build", "landing/{day}.parquet", *words, "-o", "near.json")
        told = backbeat("profile", "diff", REFERENCE, "near.json")

        assert told.code == 1
        assert "distance_km" in told.out
        assert backbeat("profile", "diff", REFERENCE, REFERENCE).code == 0


class TestBackfill:
    WORDS = ("monitors/parcels", "landing/{day}.parquet", "--until", "2024-02-12", "--days", "4")

    def test_counts_what_is_not_there(self, backbeat: Make, reference: Path) -> None:
        """Days are counted once; those without data are named; a second run has nothing to do."""
        first = backbeat("profile", "backfill", *self.WORDS, "--json")
        again = backbeat("profile", "backfill", *self.WORDS, "--json")

        days = ["2024-02-09", "2024-02-11", "2024-02-12"]
        assert (first.code, first.json["counted"]) == (0, days)
        assert first.json["missing"] == ["2024-02-10"]
        assert (again.json["counted"], again.json["there"]) == ([], days)
        edges = Profile.from_bytes(reference.read_bytes()).edges_digest[:12]
        assert sorted(path.stem for path in (reference.parent / edges).iterdir()) == days

    def test_goes_on_where_it_stopped(self, backbeat: Make, reference: Path) -> None:
        """A day that was lost in between is the only one that is counted again."""
        backbeat("profile", "backfill", *self.WORDS)
        (lost,) = reference.parent.glob("*/2024-02-11.json")
        content = lost.read_bytes()
        lost.unlink()
        told = backbeat("profile", "backfill", *self.WORDS)

        assert told.out.startswith("1 days were counted, 2 were there already, 1 have no data")
        assert lost.read_bytes() == content

    def test_a_log_gets_a_line_a_tenth(self, backbeat: Make, reference: Path) -> None:
        """Without a terminal, progress is at most ten lines on stderr."""
        words = ("monitors/parcels", "landing/{day}.parquet", "--until", "2024-02-28")
        lines = backbeat("profile", "backfill", *words, "--days", "20").err.splitlines()

        assert lines[0] == "10%: 2 of 20 days"
        assert lines[-1] == "100%: 20 of 20 days"
        assert len(lines) == 10

    def test_a_bad_day_is_named_and_the_others_are_counted(
        self, backbeat: Make, reference: Path, store: Path
    ) -> None:
        """A truncated file costs its day, and exit code 1."""
        (store / "landing" / "2024-02-11.parquet").write_bytes(b"PAR1 torn")
        (store / "landing" / "2024-02-09.parquet").unlink()
        table = pa.table({"weight_kg": pa.array([], pa.float64())})
        pq.write_table(table, store / "landing" / "2024-02-09.parquet")
        told = backbeat("profile", "backfill", *self.WORDS, "--json")

        assert told.code == 1
        assert told.json["counted"] == ["2024-02-12"]
        assert set(told.json["refused"]) == {"2024-02-09", "2024-02-11"}
        assert "2024-02-11" in backbeat("profile", "backfill", *self.WORDS).out

    def test_pins_the_reference_that_is_named(self, backbeat: Make, reference: Path) -> None:
        """--reference begins a monitor with a profile from elsewhere."""
        words = ("monitors/new", *self.WORDS[1:], "--reference", REFERENCE)
        assert backbeat("profile", "backfill", *words, "--dry-run").code == 0
        assert not (reference.parents[1] / "new").exists()
        assert backbeat("profile", "backfill", *words).code == 0
        copied = reference.parents[1] / "new" / "reference.json"
        assert copied.read_bytes() == reference.read_bytes()

    def test_wrong_windows_are_wrong_usage(self, backbeat: Make, store: Path) -> None:
        """A window that ends before it begins, no {day}, no day at all."""
        for words in (
            ("landing/{day}.parquet", "--from", "2024-02-02", "--until", "2024-02-01"),
            ("landing/a.parquet", "--until", "2024-02-01"),
            ("landing/{day}.parquet", "--until", "February"),
        ):
            assert backbeat("profile", "backfill", "m", *words).code == 2


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (("show", "monitors/parcels/referense.json"), "there is no profile", "did you mean"),
        (("show", DAY), "truncated or not JSON", "build the profile again"),
        (("show", "torn.json"), "torn.json: This profile is truncated", "build"),
        (("show", "newer.json"), "version 99, newer than", "upgrade backbeat"),
        (("show", "letter.json"), "not a drift profile", "to_bytes"),
        (("build", "landing/none.parquet", "-o", "x.json"), "missing", "landed"),
        (("build", DAY, "-o", "x.json", "--columns", "weight"), "weight", "weight_kg"),
        (("build", DAY, "-o", "../x.json/"), "", "store"),
        (("build", "empty.parquet", "-o", "x.json"), "empty.parquet has no rows", "landed"),
        (("backfill", "monitors/none", "landing/{day}.parquet"), "no monitor", "profile build"),
    ],
)
def test_every_error_says_what_to_do(
    backbeat: Make, reference: Path, store: Path, words: tuple[str, ...], says: str, hint: str
) -> None:
    """Bad input ends with 6, names what is wrong, gives a hint and writes nothing."""
    whole = reference.read_bytes()
    (store / "torn.json").write_bytes(whole[: len(whole) // 2])
    (store / "newer.json").write_text(json.dumps({**json.loads(whole), "version": 99}))
    (store / "letter.json").write_text('{"dear": "profile"}')
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), store / "empty.parquet")
    if "../x.json/" in words:
        words = (*words[:-1], str(store / DAY / "x.json"))
        says, hint = "cannot write", "choose a key"
    told = backbeat("profile", *words)

    assert told.code == 6, told.err
    assert says in told.err
    assert hint in told.err.partition("hint: ")[2]
    assert not (store / "x.json").exists()
