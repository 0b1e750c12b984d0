from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import UnmetNeed
from backbeat.quality import Suite, check_table
from backbeat.quality.session import ephemeral_context

COLD_CHECK = """
import logging
import pyarrow as pa, pyarrow.dataset as ds
from backbeat.quality import Suite, check_table

partition = {"bins": [0, 50, 100], "weights": [0.5, 0.5]}
suite = Suite.model_validate({"name": "s", "expectations": [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "absent"}},
    {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "x", "value_set": [1]}},
    {"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {
        "column": "x", "threshold": 9, "partition_object": partition}},
    {"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {
        "column": "x", "threshold": 9, "partition_object": None}},
]})
result = check_table(ds.dataset(pa.table({"x": list(range(100))})), suite)
assert len(result.failures) >= 2, result
assert not logging.getLogger("great_expectations").handlers
"""


def test_a_check_is_silent_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A cold process prints nothing, draws no bar and leaves no temporary file."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONWARNINGS": "default"}

    done = subprocess.run(
        [sys.executable, "-c", COLD_CHECK],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(scratch.iterdir()) == []
    assert list(tmp_path.iterdir()) == [scratch]


def test_a_check_asks_nobody_on_the_network(
    flights: Any, suite_of: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is resolved and nothing connected to, whatever the environment says."""
    asked: list[Any] = []
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))

    check_table(flights, suite_of(("expect_column_to_exist", {"column": "delay"})))

    assert asked == []


def test_the_users_context_stays_the_current_one(
    flights: Any, suite_of: Callable[..., Suite]
) -> None:
    """A task that uses Great Expectations itself finds its own context after a check."""
    import great_expectations as gx
    from great_expectations.data_context.data_context.context_factory import project_manager

    mine = gx.get_context(mode="ephemeral")

    check_table(flights, suite_of(("expect_column_to_exist", {"column": "delay"})))

    assert project_manager._project is mine


def test_the_users_context_comes_back_after_a_failure() -> None:
    """An exception inside a session does not leave the session's context behind."""
    import great_expectations as gx
    from great_expectations.data_context.data_context.context_factory import project_manager

    mine = gx.get_context(mode="ephemeral")

    with pytest.raises(KeyError), ephemeral_context():
        raise KeyError

    assert project_manager._project is mine


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Great Expectations the need is named with what to install."""
    monkeypatch.setitem(sys.modules, "great_expectations", None)

    with pytest.raises(UnmetNeed) as caught, ephemeral_context():
        pass

    assert "backbeat[quality]" in caught.value.hint


def test_importing_the_room_is_light() -> None:
    """Neither Great Expectations nor pandas nor pyarrow is imported before a check."""
    code = (
        "import sys, backbeat.quality.check, backbeat.quality.report, backbeat.quality as q\n"
        "q.Suite, q.QualityResult, q.check_table\n"
        "heavy = {'great_expectations', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert q.__all__ == sorted(q.__all__) and all(hasattr(q, name) for name in q.__all__)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
