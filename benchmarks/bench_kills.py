"""Batch scoring by a served model under SIGKILL: every row once, and few calls made twice.

`python benchmarks/bench_kills.py [--kills 100] [--seed 1]`: a worker scores a table of 20,000 rows
in requests of 50, four at a time, and is killed at a random moment after its first request; the
next one goes on. A finished table is held against what it must be, and another one is begun.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from backbeat.data import FolderStore
from backbeat.inference import read_scores
from backbeat.testing import ModelServer, model_server

ROWS, REQUEST, IN_FLIGHT = 20_000, 50, 4
_LONGEST = 0.6

WORKER = """
import asyncio, sys
from pathlib import Path
import pyarrow.dataset as ds
from backbeat.data import FolderStore
from backbeat.inference import InferenceClient, Resilience
from backbeat.inference.scoring import Scoring
from backbeat.inference.served import Asking, score_served
from backbeat.inference.tally import Tally

folder, table, output, address = sys.argv[1:5]
in_flight, size = map(int, sys.argv[5:7])
scoring = Scoring(
    data=ds.dataset(table), input_digest=output, model_version=address,
    store=FolderStore(Path(folder)), output=output, keys=["id"], features=["x"], partition=None,
    shard_rows=5000, parameters={},
)
async def main():
    async with InferenceClient(address, resilience=Resilience(in_flight=in_flight)) as client:
        await score_served(scoring, client, Asking(request_rows=size), tally=Tally())
asyncio.run(main())
"""


def life(command: list[str], server: ModelServer, chance: random.Random) -> bool:
    """One worker, killed at a random moment after its first request; whether it was."""
    before = len(server.asked)
    worker = subprocess.Popen(command)
    while len(server.asked) == before and worker.poll() is None:
        time.sleep(0.001)
    try:
        worker.wait(timeout=chance.uniform(0, _LONGEST))
    except subprocess.TimeoutExpired:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        return True
    if worker.returncode:
        raise RuntimeError(f"a worker ended with {worker.returncode}")
    return False


def play(kills: int, seed: int, folder: Path) -> tuple[int, int, int, int]:
    """Kills, tables, wrong rows, and calls beyond those that were needed."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    table = folder / "table.parquet"
    pq.write_table(pa.table({"id": range(ROWS), "x": [float(n) for n in range(ROWS)]}), table)
    store = FolderStore(folder)
    killed = tables = wrong = 0
    with model_server() as server:
        server.seconds = 0.004
        while killed < kills:
            output = f"scores-{tables}"
            command = [sys.executable, "-c", WORKER, str(folder), str(table), output]
            words = [server.address, str(IN_FLIGHT), str(REQUEST)]
            while life([*command, *words], server, chance):
                killed += 1
            tables += 1
            found = read_scores(store, output)
            good = found["id"].to_pylist() == list(range(ROWS))
            scores = found["score"].to_pylist()
            wrong += 0 if good else ROWS
            wrong += sum(score != 2.0 * n for n, score in enumerate(scores))
        needed = tables * ROWS // REQUEST
        return killed, tables, wrong, len(server.asked) - needed


def main() -> None:
    """Play and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-kills-") as name:
        killed, tables, wrong, twice = play(given.kills, given.seed, Path(name))
    for figure, value, target, ok in (
        ("kills", killed, given.kills, killed >= given.kills),
        ("tables", tables, None, True),
        ("wrong_rows", wrong, 0, wrong == 0),
        (
            "calls_made_twice_a_kill",
            round(twice / killed, 3),
            IN_FLIGHT,
            twice <= IN_FLIGHT * killed,
        ),
    ):
        line = {"figure": f"kills.{figure}", "value": value, "unit": "count", "target": target}
        print(json.dumps({**line, "ok": ok}))


if __name__ == "__main__":
    main()
