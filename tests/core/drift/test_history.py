"""A monitor's files: what is read, in which order, and what is left out."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backbeat import Actor
from backbeat.data import FolderStore
from backbeat.drift import Decision, Profile, Rules, build_profile, decide
from backbeat.drift.checking import check_batch, keep
from backbeat.drift.history import Monitor, covers, spanning
from backbeat.errors import FinalError, InvalidData, InvalidStep, NotFound

ANA = Actor(id="ana", method="cli")
NOON = datetime(2024, 5, 9, 12, tzinfo=UTC)
ROWS = 3000
DAYS = ("2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04")
Dump = Callable[[Path], dict[str, bytes]]


def rows(seed: int, *, shift: float = 0.0) -> pa.Table:
    """A day of two columns."""
    random = np.random.default_rng(seed)
    return pa.table(
        {"weight": random.normal(shift, 1, ROWS), "depot": random.choice(["north", "south"], ROWS)}
    )


@pytest.fixture(scope="module")
def reference() -> Profile:
    """What the model knows."""
    return build_profile(rows(0), partition="2024-04-01/2024-04-30")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store on a folder."""
    return FolderStore(tmp_path / "store")


@pytest.fixture(scope="module")
def batches(reference: Profile) -> dict[str, tuple[Profile, Decision]]:
    """Four days, the second of which drifted."""
    made = {}
    for seed, day in enumerate(DAYS, start=1):
        shift = 2.0 if day == DAYS[1] else 0.0
        batch = build_profile(rows(seed, shift=shift), edges_from=reference, partition=day)
        made[day] = batch, decide(reference, batch)
    return made


@pytest.fixture
def monitor(
    store: FolderStore, reference: Profile, batches: dict[str, tuple[Profile, Decision]]
) -> Monitor:
    """A monitor with the four days, the last of which was only counted."""
    made = Monitor(store, "monitors/parcels")
    made.pin(reference)
    for day, (batch, decision) in batches.items():
        if day != DAYS[3]:
            made.write_decision(day, decision, edges=reference.edges_digest, rules=Rules())
        made.write_batch(day, batch)
    return made


def test_the_past_is_in_order_with_its_verdicts(monitor: Monitor, reference: Profile) -> None:
    """Every batch comes back with its counts, its verdict and what fired."""
    past = monitor.past(reference.edges_digest)

    assert [batch.partition for batch in past] == list(DAYS)
    assert [batch.verdict for batch in past] == ["stable", "drifted", "stable", None]
    assert [batch.profile.rows for batch in past] == [ROWS] * 4
    assert past[1].fired == ("weight",)
    assert [batch.calibrated for batch in past] == [False, False, False, True]
    assert [batch.ordinary for batch in past] == [True] * 4  # nothing was calibrated yet
    assert not replace(past[1], calibrated=True).ordinary


def test_a_batch_is_never_its_own_history(monitor: Monitor, reference: Profile) -> None:
    """`before` leaves out the batch itself and all later ones, so that a replay sees the same."""
    found = monitor.past(reference.edges_digest, before=DAYS[2])

    assert [batch.partition for batch in found] == list(DAYS[:2])
    assert monitor.past(reference.edges_digest, before=DAYS[0]) == []


def test_no_more_is_read_than_is_asked_for(
    monitor: Monitor, reference: Profile, store: FolderStore
) -> None:
    """A limit takes the latest ones; older files are not even opened."""
    edges = reference.edges_digest
    store.write(f"monitors/parcels/{edges[:12]}/{DAYS[0]}.json", b"torn")
    latest = monitor.past(edges, before=DAYS[3], limit=2)

    assert [batch.partition for batch in latest] == list(DAYS[1:3])


@pytest.mark.parametrize("name", [f"{DAYS[1]}.json", f"{DAYS[1]}.decision.json"])
@pytest.mark.parametrize("content", [b"", b'{"format": "backbeat.pro', b"[]", b"\xff"])
def test_damage_is_named_and_left_out(
    monitor: Monitor,
    reference: Profile,
    store: FolderStore,
    caplog: pytest.LogCaptureFixture,
    name: str,
    content: bytes,
) -> None:
    """A truncated profile or decision costs its batch, a warning says which, the limit is kept."""
    edges = reference.edges_digest
    store.write(f"monitors/parcels/{edges[:12]}/{name}", content)
    with caplog.at_level(logging.WARNING):
        found = monitor.past(edges, before=DAYS[3], limit=2)

    assert [batch.partition for batch in found] == [DAYS[0], DAYS[2]]
    assert f"{edges[:12]}/{DAYS[1]}.json" in caplog.text


def test_writing_again_changes_no_byte(
    monitor: Monitor, reference: Profile, store: FolderStore, folder_dump: Dump
) -> None:
    """Replaying a batch from its rows overwrites its files with the same bytes."""
    before = folder_dump(store.root)
    batch = build_profile(rows(1), edges_from=reference, partition=DAYS[0])
    edges, decision = reference.edges_digest, decide(reference, batch)
    monitor.write_decision(DAYS[0], decision, edges=edges, rules=Rules())
    monitor.write_batch(DAYS[0], batch)
    monitor.pin(reference)

    assert folder_dump(store.root) == before


def test_other_edges_are_another_history(
    monitor: Monitor, store: FolderStore, reference: Profile
) -> None:
    """After a retraining on other data nothing of the old edges is read, and nothing is lost."""
    other = build_profile(rows(77))
    assert other.edges_digest != reference.edges_digest
    monitor.pin(other)

    assert monitor.reference() == other
    assert monitor.past(other.edges_digest) == []
    assert len(monitor.past(reference.edges_digest)) == 4
    assert set(store.keys("monitors/parcels/")) >= {"monitors/parcels/reference.json"}


def test_an_unknown_monitor_says_how_to_begin(store: FolderStore) -> None:
    """Without a reference there is no monitor, and nothing is made by looking."""
    with pytest.raises(NotFound) as caught:
        Monitor(store, "monitors/parcel").reference()

    assert "monitors/parcel" in caught.value.message
    assert "profile build" in caught.value.hint
    assert not store.root.exists()


@pytest.mark.parametrize("name", ["2024-05-01|JFK", "a/b", "../../x", "x.decision", ".x", "Größe"])
def test_any_name_is_a_file_of_its_own(store: FolderStore, reference: Profile, name: str) -> None:
    """A partition's name can neither leave the folder nor be taken for a decision."""
    monitor = Monitor(store, "m")
    monitor.write_batch("x", reference)
    monitor.write_batch(name, reference)

    edges = reference.edges_digest
    assert monitor.partitions(edges) == sorted(["x", name])
    assert {key.rsplit("/", 1)[0] for key in store.keys("m/")} == {f"m/{edges[:12]}"}
    assert monitor.judged(edges, "x") is None


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_name_that_is_no_file_is_refused(
    store: FolderStore, reference: Profile, name: str
) -> None:
    """An empty or endless partition is an error before anything is written."""
    with pytest.raises(InvalidStep, match="partition"):
        Monitor(store, "m").write_batch(name, reference)
    assert not store.root.exists()


@pytest.mark.parametrize("prefix", ["", "../outside", "/etc", "."])
def test_a_prefix_stays_in_the_store(store: FolderStore, prefix: str) -> None:
    """A monitor cannot be put beside the store."""
    with pytest.raises(FinalError):
        Monitor(store, prefix)


class TestMarks:
    def test_a_mute_holds_up_to_its_day(self, monitor: Monitor) -> None:
        """It holds for batches up to and including its last day."""
        monitor.mute("weight", until=date(2024, 5, 3), reason="new scales", by=ANA, at=NOON)

        assert monitor.muted("2024-05-03") == {"weight": "2024-05-03"}
        assert monitor.muted("2024-05-03T23:00") == {"weight": "2024-05-03"}
        assert monitor.muted("2024-05-04") == {}

    def test_the_newest_mute_counts(self, monitor: Monitor) -> None:
        """An earlier day ends a mute, and what was said before is still there."""
        later = NOON.replace(hour=13)
        monitor.mute("weight", until=date(2024, 6, 1), reason="new scales", by=ANA, at=NOON)
        monitor.mute("weight", until=date(2024, 5, 1), reason="repaired", by=ANA, at=later)

        assert monitor.muted("2024-05-02") == {}
        assert [mark.reason for mark in monitor.marks()] == ["new scales", "repaired"]

    def test_without_a_day_the_calendar_counts(self, monitor: Monitor) -> None:
        """A batch whose name is no day is muted by today's date."""
        monitor.mute("weight", until=date(9999, 1, 1), reason="for ever", by=ANA)
        monitor.mute("depot", until=date(2000, 1, 1), reason="long ago", by=ANA)

        assert set(monitor.muted("batch 7")) == {"weight"}

    def test_an_acknowledged_batch_is_ordinary(self, monitor: Monitor, reference: Profile) -> None:
        """What a person has acknowledged belongs to the history that is normal."""
        monitor.acknowledge(DAYS[1], reason="the strike", by=ANA)
        past = Monitor(monitor.store, monitor.prefix).past(reference.edges_digest)

        assert [batch.acknowledged for batch in past] == [False, True, False, False]
        assert past[1].ordinary

    def test_saying_it_twice_is_one_mark(self, monitor: Monitor, store: FolderStore) -> None:
        """The same mark at the same moment is the same file; another one is another."""
        first = monitor.acknowledge(DAYS[1], reason="the strike", by=ANA, at=NOON)
        again = monitor.acknowledge(DAYS[1], reason="the strike", by=ANA, at=NOON)
        other = monitor.acknowledge(DAYS[1], reason="the fair", by=ANA, at=NOON)

        assert first == again != other
        assert list(store.keys("monitors/parcels/marks/")) == sorted([first, other])

    def test_a_mark_says_who_and_why(self, monitor: Monitor, store: FolderStore) -> None:
        """The file holds the person, the moment and the reason; without a reason there is none."""
        said = json.loads(
            store.read(monitor.mute("weight", until=date(2024, 5, 3), reason="x", by=ANA, at=NOON))
        )
        assert said["by"] == {"id": "ana", "method": "cli"}
        assert (said["at"], said["reason"]) == ("2024-05-09T12:00:00Z", "x")
        with pytest.raises(InvalidStep, match="reason"):
            monitor.mute("weight", until=date(2024, 5, 3), reason="", by=ANA)
        assert len(monitor.marks()) == 1

    def test_a_damaged_mark_is_named_and_left_out(
        self, monitor: Monitor, store: FolderStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One torn mark does not silence the others."""
        monitor.mute("weight", until=date(2024, 5, 3), reason="x", by=ANA)
        store.write("monitors/parcels/marks/torn.json", b'{"kind": "mu')
        with caplog.at_level(logging.WARNING):
            found = Monitor(store, "monitors/parcels").muted("2024-05-01")

        assert found == {"weight": "2024-05-03"}
        assert "marks/torn.json" in caplog.text


def test_a_span_covers_its_days(reference: Profile) -> None:
    """A reference says which batches it holds: one, or the first and last of a span."""
    one = reference.model_copy(update={"partition": "2024-05-01"})
    none = reference.model_copy(update={"partition": ""})

    assert covers(reference, "2024-04-01")
    assert covers(reference, "2024-04-30")
    assert not covers(reference, "2024-05-01")
    assert covers(one, "2024-05-01")
    assert not covers(one, "2024-05-02")
    assert not covers(none, "2024-05-01")


def test_merging_names_the_span_and_refuses_a_double(reference: Profile) -> None:
    """The same day twice would be counted twice."""
    days = [build_profile(rows(n), edges_from=reference, partition=DAYS[n]) for n in (2, 0, 1)]

    together = spanning(days)
    assert (together.rows, together.partition) == (3 * ROWS, "2024-05-01/2024-05-03")
    with pytest.raises(InvalidData, match="2024-05-03 would be counted twice"):
        spanning([*days, days[0]])
    with pytest.raises(InvalidData):
        spanning([days[0], build_profile(rows(9), partition=DAYS[3])])


def _write(root: str, day: str) -> None:
    store = FolderStore(root)
    reference = Monitor(store, "m").reference()
    batch = build_profile(rows(int(day[-2:])), edges_from=reference, partition=day)
    for _ in range(5):
        Monitor(store, "m").write_batch(day, batch)
        Monitor(store, "m").pin(reference)


def test_many_writers_leave_whole_files(store: FolderStore, reference: Profile) -> None:
    """Processes that write the same and other batches at once leave no torn file."""
    Monitor(store, "m").pin(reference)
    days = [f"2024-05-{day:02}" for day in (1, 1, 2, 3)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(_write, [(str(store.root), day) for day in days])

    past = Monitor(store, "m").past(reference.edges_digest)
    assert [batch.partition for batch in past] == sorted(set(days))
    assert Monitor(store, "m").reference() == reference


def test_days_that_swing_calibrate_without_a_backfill(
    store: FolderStore, reference: Profile
) -> None:
    """Tests of significance call nearly every real day drift; they do not keep it uncalibrated."""
    watched = Monitor(store, "monitors/swinging")
    random = np.random.default_rng(7)
    rules = Rules(min_history=20)
    found = []
    for day in range(30):
        name = date.fromordinal(date(2024, 5, 1).toordinal() + day).isoformat()
        swing = float(random.normal(0, 0.3))
        checked = check_batch(
            rows(day, shift=swing), pinned=reference, rules=rules, partition=name, monitor=watched
        )
        keep(watched, checked, pinned=reference, rules=rules)
        found.append(checked.decision)
    assert sum(decision.verdict == "drifted" for decision in found[:20]) > 10
    assert [decision.calibrated for decision in found] == [False] * 20 + [True] * 10
    assert sum(decision.verdict == "drifted" for decision in found[20:]) <= 1
