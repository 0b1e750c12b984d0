"""The parts of a system on this machine: named processes, started, killed, started again, stopped.

A part leads a session of its own, writes to `<home>/<name>.log`, and is recorded in
`<home>/parts.json` as `{name: [process id, birth]}`: a number alone may belong to somebody else by
the time that a stop reads it. How it was started lies in `<home>/<name>.json`, for a restart.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Parts", "free_ports"]

_STOP_SECONDS = 20
_POLL_SECONDS = 0.1
_TAIL_LINES = 20
# an ended child keeps its number until it is reaped, so that the rest of its session can be stopped
_children: dict[int, subprocess.Popen[bytes]] = {}


class Parts:
    """The parts that live in one folder; any process that knows the folder can end them.

    Args:
        home: Where their records and their logs lie; made when the first one starts.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    def start(
        self,
        name: str,
        command: Sequence[str],
        settings: Mapping[str, str] | None = None,
        *,
        user: str | None = None,
        gently: signal.Signals = signal.SIGTERM,
    ) -> int:
        """Start a part and record it; returns its process id.

        Args:
            name: Its name in this folder.
            command: The program and its arguments.
            settings: What its environment has beside this process's own.
            user: The operating system's user that it runs as, where it is not this process's.
            gently: The signal that asks it to end.

        Raises:
            RuntimeError: A part of that name is running; stopping it helps.
            OSError: The program is not there.
        """
        if name in self.alive():
            raise RuntimeError(f"{name} is running already, see {self.home / 'parts.json'}")
        self.home.mkdir(parents=True, exist_ok=True)
        how = {"command": [*command], "settings": {**(settings or {})}, "user": user}
        # the settings may hold passwords
        _write(self._how(name), {**how, "gently": int(gently)}, mode=0o600)
        return self._begin(name)

    def restart(self, name: str) -> int:
        """Start a part again as it was started before, killing it if it lives; returns its id.

        Raises:
            KeyError: No part of that name was started, or all were stopped since.
        """
        if not self._how(name).exists():
            raise KeyError(f"no part {name!r} was started in {self.home}")
        self.kill(name)
        return self._begin(name)

    def kill(self, name: str) -> None:
        """End a part and all of its session with SIGKILL, as a machine's fault does."""
        pid = self._ours().get(name)
        if pid is None:
            return
        children = _descendants(pid)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        end = time.monotonic() + _STOP_SECONDS
        # a child in a session of its own sees the end of its parent, and holds its things till then
        while time.monotonic() < end and (pid in _groups() or children & _living()):
            time.sleep(_POLL_SECONDS)
        _reap([pid])

    def alive(self) -> dict[str, int]:
        """The recorded parts that still run: name to process id."""
        living = _living()
        return {name: pid for name, pid in self._ours().items() if pid in living}

    def part_of(self, pid: int) -> str | None:
        """The part in whose session a process runs, None where it is nobody's."""
        with suppress(ProcessLookupError):
            session = os.getsid(pid)
            return next((name for name, at in self.alive().items() if at == session), None)
        return None

    def settings(self, name: str) -> dict[str, str]:
        """What a part's environment was given when it started; raises KeyError without a part."""
        if not self._how(name).exists():
            raise KeyError(f"no part {name!r} was started in {self.home}")
        return dict(json.loads(self._how(name).read_text())["settings"])

    def log(self, name: str) -> Path:
        """The file that a part writes to."""
        return self.home / f"{name}.log"

    def wait_until(self, healthy: Callable[[], bool], *names: str, seconds: float) -> None:
        """Wait for a condition for as long as the parts that it needs are running.

        Args:
            healthy: The condition, looked at several times a second.
            *names: The parts.
            seconds: How long it may take.

        Raises:
            RuntimeError: A part has ended, or time was up; ends with the end of their logs.
        """
        end = time.monotonic() + seconds
        while not healthy():
            alive = self.alive()
            for name in names:
                if name not in alive:
                    raise RuntimeError(f"{name} ended{self._status(name)}\n{self._tail(name)}")
            if time.monotonic() > end:
                tails = "\n".join(self._tail(name) for name in names)
                raise RuntimeError(
                    f"{', '.join(names)} not healthy within {seconds:.0f} s\n{tails}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> list[str]:
        """Stop every part, the hard way where it does not go by itself.

        Returns:
            The parts that were still running.
        """
        if not self.home.is_dir():
            return []
        groups = _groups()
        ours = {name: pid for name, pid in self._ours().items() if pid in groups}
        for hard in (False, True):
            for name, pid in ours.items():
                if pid in groups:
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL if hard else self._gently(name))
            end = time.monotonic() + _STOP_SECONDS
            while (groups := _groups()) & {*ours.values()} and time.monotonic() < end:
                time.sleep(_POLL_SECONDS)
        _reap(ours.values())
        with self._changing() as record:
            for name in record:
                self._how(name).unlink(missing_ok=True)
            record.clear()
        return sorted(ours)

    def _begin(self, name: str) -> int:
        how = json.loads(self._how(name).read_text())
        user = pwd.getpwnam(how["user"]) if how["user"] else None
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - a program that the caller chose
                how["command"],
                env={**os.environ, **how["settings"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user and user.pw_uid,
                group=user and user.pw_gid,
                extra_groups=[] if user else None,
            )
        _children[child.pid] = child
        with self._changing() as record:
            record[name] = [child.pid, _processes()[child.pid].birth]
        return child.pid

    def _ours(self) -> dict[str, int]:
        """The recorded parts whose number is still theirs, the dead but unreaped included."""
        now = _processes()
        return {
            name: pid
            for name, (pid, birth) in self._recorded().items()
            if pid in now and now[pid].birth == birth
        }

    def _gently(self, name: str) -> signal.Signals:
        return signal.Signals(json.loads(self._how(name).read_text())["gently"])

    def _status(self, name: str) -> str:
        child = _children.get(self._recorded()[name][0])
        if child is None:
            return ""
        # looked at without reaping
        found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return "" if found is None else f" with {found.si_status}"

    def _tail(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").splitlines() or ["(nothing)"]
        return "\n".join([f"the end of {self.log(name)}:", *lines[-_TAIL_LINES:]])

    def _how(self, name: str) -> Path:
        return self.home / f"{name}.json"

    def _recorded(self) -> dict[str, list[Any]]:
        try:
            return dict(json.loads((self.home / "parts.json").read_text()))
        except FileNotFoundError:
            return {}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, list[Any]]]:
        """The record, for one process and one thread at a time; written whole or not at all."""
        with (self.home / "parts.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            record = self._recorded()
            yield record
            _write(self.home / "parts.json", record, mode=0o644)


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback address that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass(frozen=True)
class _Process:
    parent: int
    group: int
    dead: bool
    birth: str


def _processes() -> dict[int, _Process]:
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    rows = (line.split(maxsplit=4) for line in table.splitlines())
    return {
        int(pid): _Process(int(parent), int(group), state.startswith("Z"), birth)
        for pid, parent, group, state, birth in rows
    }


def _living() -> set[int]:
    return {pid for pid, process in _processes().items() if not process.dead}


def _groups() -> set[int]:
    """Process groups in which somebody lives: a dead child waits for its parent, and is nobody."""
    return {process.group for process in _processes().values() if not process.dead}


def _descendants(pid: int) -> set[int]:
    children: dict[int, set[int]] = {}
    for child, process in _processes().items():
        children.setdefault(process.parent, set()).add(child)
    found: set[int] = set()
    unseen = children.get(pid, set())
    while unseen:
        found |= unseen
        unseen = {grandchild for child in unseen for grandchild in children.get(child, ())}
    return found


def _reap(pids: Iterable[int]) -> None:
    for pid in pids:
        if pid in _children and _children[pid].poll() is not None:
            del _children[pid]


def _write(path: Path, value: object, *, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file)
    temporary.replace(path)
