"""Who holds a lease: this process, named so that others can tell whether it still lives."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

__all__ = ["is_certainly_dead", "this_process"]


@lru_cache(maxsize=1)
def this_process() -> str:
    """`<host and boot>/<pid>/<start time>` of this process."""
    return f"{_host()}/{os.getpid()}/{_started(os.getpid())}"


os.register_at_fork(after_in_child=this_process.cache_clear)


def is_certainly_dead(owner: str) -> bool:
    """Whether the owner was a process of this very machine and boot, and is gone.

    A process elsewhere may be alive for all we know: only its lease's end says so.
    """
    host, _, process = owner.partition(f"{_host()}/")
    pid, _, started = process.partition("/")
    return not host and pid.isdecimal() and _started(int(pid)) != started


@lru_cache(maxsize=1)
def _host() -> str:
    # a container shares its host's boot id, not its process numbers: the namespace tells them apart
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    parts = [platform.node() or "localhost"]
    if boot.exists():
        parts.append(boot.read_text().strip())
    if space.is_symlink():
        parts.append(str(space.readlink()))
    return ":".join(parts)


def _started(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return "gone"
    # a killed process that its parent has not reaped yet will never write again
    return "gone" if fields[0] in {"Z", "X"} else fields[19]
