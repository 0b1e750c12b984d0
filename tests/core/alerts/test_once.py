"""When people are told: once for a cause, and never not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.alerts import Alert, Told
from backbeat.alerts.once import Noted, is_due
from backbeat.data import FolderStore

MONITOR = "monitors/parcels"
KIND = "drift.check/v1"
ALERT = Alert(
    title="Drift",
    text="Drift.",
    kind=KIND,
    verdict="drifted",
    severity="high",
    columns=("a",),
    cause="sha256:" + "0" * 64,
    workflow="nightly",
    run="r1",
    task="drift",
)
FIRST = date(2024, 5, 1)


class Channel:
    """People, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[str] = []
        self.told = Told(FolderStore(folder), MONITOR, KIND)

    def night(
        self,
        day: int,
        cause: str = "",
        *,
        deaf: bool = False,
        reference: str = "sha256:1",
        name: str = "2024-05-{:02}",
    ) -> None:
        """One night's check."""
        partition = name.format(day)
        found = replace(ALERT, cause=cause, partition=partition, reference=reference)
        news = bool(cause) and self.told.is_news(found)
        if news and not deaf:
            self.heard.append(f"{day}:{cause}")
        self.told.note(partition, found if cause else None, told=news and not deaf)


@pytest.fixture
def channel(tmp_path: Path) -> Channel:
    """A channel with nothing told yet."""
    return Channel(tmp_path)


def test_the_same_cause_is_told_once(channel: Channel) -> None:
    """A week of nights of one cause is one message; then they are heard of it again."""
    for day in range(1, 8):
        channel.night(day, "a")
    assert channel.heard == ["1:a"]
    channel.night(8, "a")
    assert channel.heard == ["1:a", "8:a"]


def test_another_cause_is_news(channel: Channel) -> None:
    """Also while the first one goes on."""
    channel.night(1, "a")
    channel.night(2, "ab")
    channel.night(3, "ab")
    assert channel.heard == ["1:a", "2:ab"]


def test_the_same_columns_against_another_reference_are_news(channel: Channel) -> None:
    """The new model drifts from what it was trained on: that is no old story."""
    channel.night(1, "a")
    channel.night(2, "a", reference="sha256:2")
    channel.night(3, "a", reference="sha256:2")
    assert channel.heard == ["1:a", "2:a"]


@pytest.mark.parametrize("name", ["2024-05-{:02}", "2024-05-01T{:02}", "batch-{:03}"])
def test_what_was_gone_and_comes_back_is_news(channel: Channel, name: str) -> None:
    """A quiet batch in between ends it, whatever batches are named by."""
    channel.night(1, "a", name=name)
    channel.night(2, name=name)
    channel.night(3, "a", name=name)
    channel.night(4, "a", name=name)
    assert channel.heard == ["1:a", "3:a"]


def test_a_retry_tells_nobody_again(channel: Channel) -> None:
    """Nor does a clear, nor a backfill of an older night."""
    channel.night(5, "a")
    channel.night(5, "a")
    channel.night(3, "a")
    assert channel.heard == ["5:a"]


def test_who_could_not_be_told_is_told_by_the_retry(channel: Channel) -> None:
    """A channel that is down for a moment costs no night."""
    channel.night(1, "a", deaf=True)
    channel.night(1, "a")
    assert channel.heard == ["1:a"]


def test_who_could_not_be_told_is_told_by_the_next_night(channel: Channel) -> None:
    """A channel that is down loses no cause."""
    channel.night(1, "a", deaf=True)
    channel.night(2, "a")
    assert channel.heard == ["2:a"]


@pytest.mark.parametrize("then", [3, 4])
def test_a_return_that_could_not_be_told_is_owed(channel: Channel, then: int) -> None:
    """People were told of it long ago, and must hear that it is back: by a retry or a night on."""
    channel.night(1, "a")
    channel.night(2)
    channel.night(3, "a", deaf=True)
    channel.night(then, "a")
    channel.night(then + 1, "a")
    assert channel.heard == ["1:a", f"{then}:a"]


def test_a_clear_of_an_older_night_pays_nothing_that_is_owed(channel: Channel) -> None:
    """It would say that an old night is news; the next one says that it is back."""
    channel.night(1, "a")
    channel.night(2)
    channel.night(3, "a", deaf=True)
    channel.night(1, "a")
    channel.night(4, "a")
    assert channel.heard == ["1:a", "4:a"]


@pytest.mark.parametrize("content", [b"{half", b"[]", b'{"seen": "2024-05-01"}', b'{"seen": 1}'])
def test_a_damaged_note_tells_again(channel: Channel, content: bytes) -> None:
    """Better twice than never."""
    channel.night(1, "a")
    for file in (channel.folder / MONITOR / "alerts" / "drift.check").iterdir():
        file.write_bytes(content)
    channel.night(2, "a")
    channel.night(3, "a")
    assert channel.heard == ["1:a", "2:a"]


def test_how_long_a_cause_is_old_news_is_said_in_days() -> None:
    """And a batch that is named by no day never is."""
    noted = Noted(told="2024-05-01", seen="2024-05-03")
    assert is_due("2024-05-04", noted, "2024-05-03", repeat_after_days=3)
    assert not is_due("2024-05-04", noted, "2024-05-03", repeat_after_days=4)
    assert not is_due("b9", Noted(told="b1", seen="b8"), "b8", repeat_after_days=0)


NIGHTS = st.lists(st.sampled_from(["quiet", "found", "found and deaf", "found, and a retry"]))


@given(NIGHTS)
def test_every_spell_is_told_once_a_week_and_at_least_once(nights: list[str]) -> None:
    """A spell is the nights in a row in which a cause is found; a deaf channel delays, no more."""
    heard: list[int] = []
    with TemporaryDirectory() as folder:
        told = Told(FolderStore(Path(folder)), MONITOR, KIND)
        for number, night in enumerate(nights):
            partition = str(FIRST + timedelta(days=number))
            found = replace(ALERT, partition=partition) if night != "quiet" else None
            for _ in range(2 if "retry" in night else 1):
                news = found is not None and told.is_news(found) and "deaf" not in night
                heard += [number] if news else []
                told.note(partition, found, told=news)
    expected: list[int] = []
    last: int | None = None
    for number, night in enumerate(nights):
        if night == "quiet":
            last = None
        elif "deaf" not in night and (last is None or number - last >= 7):
            expected.append(number)
            last = number
    assert heard == expected
