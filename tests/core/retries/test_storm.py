"""The storm itself: real sockets, two hundred clients, a budget in a real ledger file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[3] / "benchmarks" / "bench_retry.py"


def test_a_server_that_fails_half_is_not_sent_more_than_a_tenth_on_top(tmp_path: Path) -> None:
    """Ten seconds of the benchmark: at most 1.1 calls sent for each that was wanted."""
    done = subprocess.run(
        [sys.executable, str(BENCH), "--seconds", "10"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    figures = {line["figure"]: line["value"] for line in lines}
    assert set(figures) == {
        "retry.sent_to_wanted",
        "retry.recovery",
        "retry.client_sent_to_wanted",
        "retry.client_recovery",
        "retry.client_answered",
        "retry.naive_sent_to_wanted",
        "retry.naive_recovery",
    }
    assert 1.0 < figures["retry.sent_to_wanted"] <= 1.1 < figures["retry.naive_sent_to_wanted"]
    assert 1.0 < figures["retry.client_sent_to_wanted"] <= 1.1
    assert list(tmp_path.iterdir()) == []
