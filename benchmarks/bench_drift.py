"""How fast a batch is profiled and judged, beside Evidently, whylogs and the bare scan.

    python benchmarks/bench_drift.py [FOLDER] [--rows 1000000] [--large 10000000]
                                     [--largest 50000000] [--without-peers]

25 columns (20 of float64, 5 of strings). Every arm is a process of its own; its seconds are those
between its start and its end, its memory is its peak. In one run:

both        reference and current batch of `--rows` rows each, read from Parquet and judged:
            backbeat, Evidently's DataDriftPreset and whylogs, each in its pinned environment
current     a batch of `--large` rows against a stored profile, beside a bare scan of the same
            Parquet by pyarrow; on one core and on all. Beside it two processes that have a core
            and half of the rows each: what the machine's second core is worth
flat        the same with `--largest` rows: one file of a million rows is read again and again
distinct    one column of `--large` strings that all differ, profiled from nothing (two passes)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).parents[1]
NUMERIC, TEXT = 20, 5
PIECE = 1_000_000
ROUNDS = 3
_START = "import resource, sys, time; began = time.perf_counter()\n"
_END = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.perf_counter() - began, peak)
"""

BACKBEAT = """
import pyarrow.dataset as ds
from backbeat.drift import build_profile, decide
reference = build_profile(ds.dataset(sys.argv[1]))
current = build_profile(ds.dataset(sys.argv[2]), edges_from=reference)
assert decide(reference, current).verdict == "stable"
"""
EVIDENTLY = """
import pandas, warnings
warnings.simplefilter("ignore")
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
names = list(pandas.read_parquet(sys.argv[1]).columns)
kinds = DataDefinition(
    numerical_columns=[name for name in names if name.startswith("number")],
    categorical_columns=[name for name in names if name.startswith("text")],
)
one, two = (
    Dataset.from_pandas(pandas.read_parquet(path), data_definition=kinds) for path in sys.argv[1:3]
)
found = Report([DataDriftPreset()]).run(two, one).dict()
assert found["metrics"]
"""
WHYLOGS = """
import pandas, warnings
warnings.simplefilter("ignore")
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores
one, two = (whylogs.log(pandas.read_parquet(path)).profile().view() for path in sys.argv[1:3])
assert len(calculate_drift_scores(target_view=two, reference_view=one, with_thresholds=True)) == 25
"""
PROFILE = """
import pyarrow.dataset as ds
from backbeat.drift import Profile, build_profile, decide
reference = Profile.from_bytes(open(sys.argv[1], "rb").read())
current = build_profile(ds.dataset([sys.argv[2]] * int(sys.argv[3])), edges_from=reference)
assert decide(reference, current).current_rows == int(sys.argv[3]) * 1_000_000
"""
SCAN = """
import pyarrow.dataset as ds
import pyarrow as pa
rows = 0
for batch in ds.dataset([sys.argv[2]] * int(sys.argv[3])).scanner(
    batch_readahead=2, fragment_readahead=1,
    fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=False),
).to_batches():
    rows += batch.num_rows
assert rows == int(sys.argv[3]) * 1_000_000
"""
DISTINCT = """
import pyarrow.dataset as ds
from backbeat.drift import build_profile
column = build_profile(ds.dataset(sys.argv[1])).columns["id"]
rows = int(sys.argv[2])
assert column.present == rows and len(column.counts) <= 1_000
assert abs(column.distinct_values / rows - 1) < 0.12
"""
WRITE = """
from backbeat.drift import build_profile
import pyarrow.dataset as ds
open(sys.argv[2], "wb").write(build_profile(ds.dataset(sys.argv[1])).to_bytes())
"""


@dataclass(frozen=True)
class Taken:
    """What one process took.

    Args:
        seconds: From its start to its end, imports included.
        mebibytes: The most memory that it held.
    """

    seconds: float
    mebibytes: float


def make_rows(path: Path, rows: int, seed: int) -> None:
    """Write Parquet: 20 columns of floats, 5 of strings, a row group each million rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = np.random.default_rng(seed)
    schema = pa.schema(
        [(f"number_{at}", pa.float64()) for at in range(NUMERIC)]
        + [(f"text_{at}", pa.string()) for at in range(TEXT)]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, PIECE):
            size = min(PIECE, rows - first)
            arrays = [
                pa.array(
                    chance.normal(size=size) if at % 2 else chance.lognormal(sigma=1.0, size=size)
                )
                for at in range(NUMERIC)
            ]
            for at in range(TEXT):
                names = pa.array([f"value {number:04}" for number in range(4 * 10**at % 1999 + 4)])
                codes = pa.array(chance.zipf(1.5, size=size) % len(names))
                arrays.append(names.take(codes))
            writer.write_table(pa.table(arrays, schema=schema))


def make_identifiers(path: Path, rows: int) -> None:
    """Write Parquet: one column of strings that all differ, a row group each million rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, PIECE):
            numbers = pa.array(np.arange(first, min(first + PIECE, rows)))
            writer.write_table(pa.table([numbers.cast(pa.string())], schema=schema))


def run(code: str, *words: object, python: Path | None = None, cores: int = 0) -> Taken:
    """Run one arm in a process of its own."""

    def on_cores() -> None:
        if cores:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    done = subprocess.run(
        [str(python or sys.executable), "-c", _START + code + _END, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=on_cores,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    seconds, peak = map(float, done.stdout.split()[-2:])
    return Taken(seconds, peak)


def run_at_once(code: str, *words: object) -> Taken:
    """One process a core at the same time, each held to its own."""
    cores = sorted(os.sched_getaffinity(0))
    began = time.perf_counter()
    under_way = [
        subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, "-c", _START + code + _END]
            + [str(word) for word in words],
            stdout=subprocess.DEVNULL,
        )
        for core in cores
    ]
    if any(each.wait() for each in under_way):
        raise RuntimeError("a process of several at once has failed")
    return Taken(time.perf_counter() - began, 0.0)


def best(*runs: Taken) -> Taken:
    """The least seconds of several runs, and the most memory."""
    return Taken(min(r.seconds for r in runs), max(r.mebibytes for r in runs))


def peer(name: str) -> Path:
    """A peer's own environment, made from its pinned requirements where it is not there."""
    home = ROOT / f".venv-peer-{name}"
    python = home / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")
        pinned = str(ROOT / "benchmarks" / "peers" / f"{name}.txt")
        subprocess.run([uv, "venv", "-q", str(home), "--python", sys.executable], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", str(home), "-r", pinned], check=True)
    return python


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Taken]:
    """Every arm."""
    one, two, piece, stored = (
        folder / name for name in ("one.parquet", "two.parquet", "piece.parquet", "profile.json")
    )
    found: dict[str, Taken] = {}
    arms = 7 + (0 if given.without_peers else 2)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("making rows", total=arms)
        make_rows(one, given.rows, 1)
        make_rows(two, given.rows, 2)
        make_rows(piece, PIECE, 3)

        def arm(name: str, *runs: Taken) -> None:
            found[name] = best(*runs)
            progress.update(task, advance=1, description=name)

        arm("both backbeat", *(run(BACKBEAT, one, two) for _ in range(ROUNDS)))
        if not given.without_peers:
            arm("both whylogs", run(WHYLOGS, one, two, python=peer("whylogs")))
            arm("both evidently", run(EVIDENTLY, one, two, python=peer("evidently")))
        run(WRITE, one, stored)
        words = (stored, piece, given.large // PIECE)
        scans, profiles = [], []
        for _ in range(ROUNDS):  # in turn, so that a slow moment meets both
            scans.append(run(SCAN, *words))
            profiles.append(run(PROFILE, *words))
        arm("current scan", *scans)
        arm("current backbeat", *profiles)
        arm("current one core", *(run(PROFILE, *words, cores=1) for _ in range(2)))
        share = words[2] // len(os.sched_getaffinity(0))
        arm(
            "current one process a core",
            *(run_at_once(PROFILE, stored, piece, share) for _ in range(2)),
        )
        arm("flat backbeat", run(PROFILE, stored, piece, given.largest // PIECE))
        identifiers = folder / "identifiers.parquet"
        make_identifiers(identifiers, given.large)
        arm("distinct backbeat", run(DISTINCT, identifiers, given.large))
    return found


def report(found: dict[str, Taken], given: argparse.Namespace) -> None:
    """A table for people, then one JSON line a figure."""
    table = Table("arm", "seconds", "MiB", title="Profiling and judging 25 columns")
    for name, taken in found.items():
        table.add_row(name, f"{taken.seconds:.1f}", f"{taken.mebibytes:.0f}")
    Console(width=100).print(table)
    both, current, flat = (found[f"{name} backbeat"] for name in ("both", "current", "flat"))
    figures: list[tuple[str, float, str, float | None, bool]] = []
    for name, target in (("evidently", 25.0), ("whylogs", 12.0)):
        if f"both {name}" in found:
            ratio = found[f"both {name}"].seconds / both.seconds
            figures.append((f"faster_than_{name}", ratio, "ratio", target, ratio >= target))
    if "both evidently" in found:
        share = both.mebibytes / found["both evidently"].mebibytes
        figures.append(("memory_to_evidently", share, "ratio", 1 / 3, share <= 1 / 3))
    to_scan = current.seconds / found["current scan"].seconds
    cores = found["current one core"].seconds / current.seconds
    possible = found["current one core"].seconds / found["current one process a core"].seconds
    distinct = found["distinct backbeat"].mebibytes
    growth = flat.mebibytes / current.mebibytes
    figures += [
        (f"to_scan_of_{given.large}", to_scan, "ratio", 3.0, to_scan <= 3),
        (f"memory_of_{given.large}", current.mebibytes, "MiB", 300.0, current.mebibytes <= 300),
        (f"memory_of_{given.largest}", flat.mebibytes, "MiB", 300.0, flat.mebibytes <= 300),
        (f"memory_of_{given.large}_distinct", distinct, "MiB", 300.0, distinct <= 300),
        ("memory_growth", growth, "ratio", 1.1, growth <= 1.1),
        ("all_cores_to_one", cores, "ratio", 1.6, cores >= 1.6),
        ("all_cores_to_one_possible", possible, "ratio", None, True),
        ("rows_a_second", given.large / current.seconds, "1/s", None, True),
    ]
    for figure, value, unit, target, ok in figures:
        line = {"figure": f"drift.{figure}", "value": round(value, 3), "unit": unit}
        print(json.dumps({**line, "target": target and round(target, 3), "ok": ok}))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=PIECE)
    parser.add_argument("--large", type=int, default=10 * PIECE)
    parser.add_argument("--largest", type=int, default=50 * PIECE)
    parser.add_argument("--without-peers", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-drift-", dir=given.folder))
    try:
        report(measure(folder, given), given)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
