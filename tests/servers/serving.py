"""A model server that runs for its tests: started, waited for, and ended with all of its family."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

__all__ = ["HERE", "ROOT", "Served", "answers", "environment", "serve"]

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
_START_SECONDS = 180
_STOP_SECONDS = 20
_POLL_SECONDS = 0.1
_TAIL_LINES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that answers.

    Args:
        addresses: Its model's addresses: label to backbeat address.
        log: What it printed.
        process: Its first process, which leads a session of its own.
        key: What it lets in as a bearer token; anybody where empty.
    """

    addresses: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)
    key: str = field(default="", repr=False)

    @property
    def pids(self) -> list[int]:
        """Ids of its processes, the first one before its descendants; empty once it has ended."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            return [first.pid, *(child.pid for child in first.children(recursive=True))]
        return []

    def stop(self) -> None:
        """End every process of it, the hard way where it does not go by itself."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            # remembered now: who has lost its parent cannot be found through it
            family = [first, *first.children(recursive=True)]
            # the first one alone, as it may end the others in an order of its own
            for processes, end in (
                ([first], psutil.Process.terminate),
                (family, psutil.Process.terminate),
                (family, psutil.Process.kill),
            ):
                for process in processes:
                    with suppress(psutil.NoSuchProcess):
                        end(process)
                psutil.wait_procs(processes, timeout=_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def environment(name: str) -> Path:
    """The virtual environment of a server; `make servers` makes it."""
    return ROOT / f".venv-server-{name}"


def serve(
    command: Sequence[str | Path],
    folder: Path,
    addresses: Mapping[str, str],
    ready: Callable[[], bool],
    settings: Mapping[str, str] | None = None,
) -> Served:
    """Start a server and wait until its model answers.

    Args:
        command: The program and its arguments.
        folder: Where it works and logs; made if need be.
        addresses: Label to backbeat address.
        ready: Whether the model answers, asked several times a second.
        settings: What its environment has beside this process's own. `PYTHONPATH` leads to
            `models.py` and to this folder's served models.

    Raises:
        RuntimeError: It ended, or did not answer within 180 s; with the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    bin_folder = Path(command[0]).parent
    with log.open("ab") as written:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": f"{HERE}{os.pathsep}{HERE / 'served'}",
                **(settings or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Served(addresses=dict(addresses), log=log, process=process)
    end = time.monotonic() + _START_SECONDS
    while not ready():
        status = process.poll()
        if status is not None or time.monotonic() > end:
            served.stop()
            why = "did not answer in time" if status is None else f"ended with {status}"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            raise RuntimeError(f"{command[0]} {why}; the end of {log}:\n{tail}")
        time.sleep(_POLL_SECONDS)
    return served


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
