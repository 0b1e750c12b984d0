"""The demo's process control, tried on real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flights.processes import Parts, free_ports

_FAMILY = """
import os, subprocess, sys, time
read, write = os.pipe()
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
waiter = [sys.executable, "-c", f"import os, time; os.read({read}, 1); time.sleep(0.5)"]
near = subprocess.Popen(sleeper)
far = subprocess.Popen(waiter, start_new_session=True, pass_fds=[read])
os.close(read)
print(near.pid, far.pid, flush=True)
time.sleep(600)
"""
_DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
_TOLD = """
import signal, time
# a shell's background job is started with this signal ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print("up", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
_TELLER = """
import os, time
print(os.environ["TOLD"], flush=True)
time.sleep(600)
"""


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


SLEEPER = _python("import time; print('up', flush=True); time.sleep(600)")
# a child in the part's session, and one in its own that ends half a second after its parent
FAMILY = _python(_FAMILY)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    found = Parts(tmp_path / "home")
    yield found
    found.stop()


def _until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    return shown.stdout.strip()[:1] not in {"", "Z"}


def _said(parts: Parts, name: str) -> str:
    return parts.log(name).read_text()


def test_a_started_part_is_recorded_and_alive(parts: Parts) -> None:
    """Any process that knows the folder sees the part, by its number and its birth."""
    pid = parts.start("sleeper", SLEEPER)

    assert parts.alive() == Parts(parts.home).alive() == {"sleeper": pid}
    ((name, (recorded, birth)),) = json.loads((parts.home / "parts.json").read_text()).items()
    assert (name, recorded) == ("sleeper", pid)
    assert birth
    assert os.getsid(pid) == pid


def test_a_name_runs_once(parts: Parts) -> None:
    """Starting a part that runs is refused and leaves the running one alone."""
    pid = parts.start("sleeper", SLEEPER)
    with pytest.raises(RuntimeError, match="sleeper is running already"):
        parts.start("sleeper", SLEEPER)

    assert parts.alive() == {"sleeper": pid}


def test_what_a_part_was_told_is_for_its_owner(parts: Parts) -> None:
    """Settings reach the part, may hold secrets, and lie in a file that nobody else reads."""
    parts.start("teller", _python(_TELLER), {"TOLD": "a secret"})
    _until(lambda: "a secret" in _said(parts, "teller"))

    assert parts.settings("teller") == {"TOLD": "a secret"}
    assert (parts.home / "teller.json").stat().st_mode & 0o077 == 0
    assert "a secret" not in (parts.home / "parts.json").read_text()


def test_a_stop_ends_every_session(parts: Parts) -> None:
    """A stop leaves no process of any part, and a second one finds nothing to do."""
    pid = parts.start("family", FAMILY)
    parts.start("sleeper", SLEEPER)
    _until(lambda: _said(parts, "family"))
    near, far = map(int, _said(parts, "family").split())

    assert parts.stop() == ["family", "sleeper"]
    _until(lambda: not _lives(far))
    assert not _lives(pid)
    assert not _lives(near)
    assert parts.stop() == []


def test_a_part_that_is_deaf_is_stopped_too(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ignores SIGTERM gets SIGKILL."""
    monkeypatch.setattr("flights.processes._STOP_SECONDS", 0.5)
    pid = parts.start("deaf", _python(_DEAF))
    _until(lambda: "up" in _said(parts, "deaf"))

    assert parts.stop() == ["deaf"]
    assert not _lives(pid)


def test_a_part_is_asked_in_the_way_it_wants(parts: Parts) -> None:
    """`gently` chooses the signal; a process that hears it may end as it likes."""
    parts.start("told", _python(_TOLD), gently=signal.SIGINT)
    _until(lambda: "up" in _said(parts, "told"))
    parts.stop()

    assert "interrupted" in _said(parts, "told")


def test_a_stop_spares_who_took_the_number_over(parts: Parts) -> None:
    """After a reboot a recorded number may be anybody's: its birth tells."""
    stranger = subprocess.Popen(SLEEPER, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        parts.home.mkdir()
        record = {"sleeper": [stranger.pid, "Thu Jan  1 00:00:00 1970"]}
        (parts.home / "parts.json").write_text(json.dumps(record))

        assert parts.alive() == {}
        parts.kill("sleeper")
        assert parts.stop() == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_a_dead_leader_left_is_stopped(parts: Parts) -> None:
    """A part whose leader has ended is not alive, but its children are still ended by a stop."""
    pid = parts.start("family", FAMILY)
    _until(lambda: _said(parts, "family"))
    near, _ = map(int, _said(parts, "family").split())
    os.kill(pid, signal.SIGKILL)
    _until(lambda: parts.alive() == {})
    assert _lives(near)

    assert parts.stop() == ["family"]
    assert not _lives(near)


def test_a_killed_part_can_be_started_again(parts: Parts) -> None:
    """A restart gives the same command the same settings, as often as one likes."""
    first = parts.start("teller", _python(_TELLER), {"TOLD": "again"})
    _until(lambda: _said(parts, "teller").count("again") == 1)
    parts.kill("teller")
    assert parts.alive() == {}
    second = parts.restart("teller")
    _until(lambda: _said(parts, "teller").count("again") == 2)
    # by somebody else, and without a kill before it
    third = Parts(parts.home).restart("teller")
    _until(lambda: _said(parts, "teller").count("again") == 3)

    assert parts.alive() == {"teller": third}
    assert not _lives(first)
    assert not _lives(second)


def test_a_kill_waits_for_those_who_hold_on(parts: Parts) -> None:
    """A child in a session of its own has ended by the time that a kill returns."""
    parts.start("family", FAMILY)
    _until(lambda: _said(parts, "family"))
    near, far = map(int, _said(parts, "family").split())
    parts.kill("family")

    assert not _lives(near)
    assert not _lives(far)


def test_nobody_can_restart_what_never_was(parts: Parts) -> None:
    """A wrong name is an error that names the folder."""
    with pytest.raises(KeyError, match="no part 'nobody' was started in"):
        parts.restart("nobody")


def test_a_process_is_known_by_its_part(parts: Parts) -> None:
    """The part of a child is the part whose session it is in; this very process is in none."""
    parts.start("family", FAMILY)
    _until(lambda: _said(parts, "family"))
    near, far = map(int, _said(parts, "family").split())

    assert parts.part_of(near) == "family"
    assert parts.part_of(far) is None
    assert parts.part_of(os.getpid()) is None


def test_waiting_ends_with_the_condition(parts: Parts) -> None:
    """The wait returns once the condition holds."""
    parts.start("sleeper", SLEEPER)
    parts.wait_until(lambda: "up" in _said(parts, "sleeper"), "sleeper", seconds=30)

    assert "up" in _said(parts, "sleeper")


def test_waiting_for_a_part_that_ended_shows_its_log(parts: Parts) -> None:
    """The error has the exit status and the last words, at once and not when time is up."""
    parts.start("liar", _python("raise SystemExit('no room on the disk')"))
    with pytest.raises(RuntimeError, match=r"liar ended with 1\n(.|\n)*no room on the disk"):
        parts.wait_until(lambda: False, "liar", seconds=300)


def test_waiting_in_vain_shows_the_logs(parts: Parts) -> None:
    """When time is up the error says for whom, and what they wrote."""
    parts.start("sleeper", SLEEPER)
    _until(lambda: "up" in _said(parts, "sleeper"))
    with pytest.raises(RuntimeError, match=r"sleeper not healthy within 0 s\n(.|\n)*\nup"):
        parts.wait_until(lambda: False, "sleeper", seconds=0)


def test_many_at_once_lose_no_record(parts: Parts) -> None:
    """Parts that are started at the same moment are all recorded, and all stopped."""
    names = [f"sleeper-{number}" for number in range(8)]
    threads = [threading.Thread(target=parts.start, args=(name, SLEEPER)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(parts.alive()) == names
    assert parts.stop() == names


def test_free_ports_are_different() -> None:
    """Ports that are asked for together are never the same."""
    ports = free_ports(20)

    assert len(set(ports)) == 20
