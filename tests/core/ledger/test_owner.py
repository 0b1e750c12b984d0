from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backbeat.ledger.owner import is_certainly_dead, this_process

Make = Callable[..., Any]
NAME = """
from backbeat.ledger.owner import this_process
print(this_process(), flush=True)
input()
"""


def test_a_process_knows_itself_alive() -> None:
    """This process is not dead."""
    assert not is_certainly_dead(this_process())


def test_a_process_is_dead_once_it_is_gone(start_python: Make) -> None:
    """Another process of this machine is alive while it runs and dead afterwards."""
    process = start_python(NAME)
    owner = process.stdout.readline().strip()
    assert not is_certainly_dead(owner)
    process.communicate("\n", timeout=60)
    assert is_certainly_dead(owner)


def test_a_number_that_was_given_out_again_is_another_process() -> None:
    """The start time tells a process from a later one with its number."""
    host, pid, started = this_process().rsplit("/", 2)
    assert is_certainly_dead(f"{host}/{pid}/{int(started) - 1}")


def test_a_process_elsewhere_may_live() -> None:
    """Of another host, boot or container nothing is known."""
    assert not is_certainly_dead("elsewhere:boot:pid:[1]/999999999/1")


def test_a_forked_child_has_its_own_name(start_python: Make) -> None:
    """A name that was remembered before a fork is not the child's."""
    source = """
import os
from backbeat.ledger.owner import this_process
mine = this_process()
child = os.fork()
if child == 0:
    os._exit(0 if this_process() != mine and f"/{os.getpid()}/" in this_process() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    process = start_python(source)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
