"""What the client adds to bare requests, and batch scoring beside a hand-tuned loop.

    python benchmarks/bench_inference.py [--rounds 3] [--rows 1000000] [--many 10000000]

Needs `make servers SERVERS=triton`. Resilience is on: deadline, retry budget, breaker, limit. In
one run, the arms of each figure in turn:

small    requests of one row in JSON, 32 at a time, to a server that answers the same to all: the
         client, a bare aiohttp loop that sends the same bytes, and tritonclient.http.aio
large    1 MiB of float64 as bytes, 8 at a time, answered with bytes: the client, and bare aiohttp
grpc     requests of one row to a real Triton, 32 at a time: the client, and the raw stub
batch    a table scored by a real Triton in requests of 4096 rows: `score_served`, with its keys,
         checkpoints and manifest, and a loop that reads, asks with aiohttp and writes one file
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
SERVERS = ROOT / "tests" / "servers"
sys.path.insert(0, str(SERVERS))
FEATURES = ("a", "b", "c", "d")
SMALL, LARGE = 4000, 400


def rows(count: int):  # noqa: ANN201 - a RecordBatch
    """Rows of four features."""
    import numpy as np
    import pyarrow as pa

    values = np.random.default_rng(7).normal(size=(count, len(FEATURES)))
    return pa.record_batch(dict(zip(FEATURES, values.T, strict=True)))


async def at_a_time(count: int, width: int, call) -> float:  # noqa: ANN001
    """Seconds that so many calls take, so many at a time."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await call()

    await call()
    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(width)))
    return time.perf_counter() - began


async def client_arm(address: str, count: int, width: int, size: int) -> float:
    """Backbeat's client."""
    from backbeat.inference import InferenceClient, Resilience

    batch = rows(size)
    async with InferenceClient(address, resilience=Resilience(in_flight=width)) as client:
        return await at_a_time(count, width, lambda: client.predict(batch))


async def bare_arm(address: str, count: int, width: int, size: int) -> float:
    """The same bytes through aiohttp alone; the answer is read, and nothing is made of it."""
    import aiohttp

    from backbeat.inference import InferenceClient

    async with InferenceClient(address) as asked:
        info = await asked.describe()
        request = asked.protocol.encode(asked.endpoint, info, rows(size), {})
    body = b"".join(bytes(part) for part in request.body)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call() -> None:
            async with session.post(request.url, data=body, headers=request.headers) as answer:
                found = await answer.read()
                if size == 1:
                    json.loads(found)

        return await at_a_time(count, width, call)


async def stub_arm(address: str, count: int, width: int, size: int) -> float:
    """The raw stub of gRPC, with the message made once."""
    import grpc.aio

    from backbeat.inference import InferenceClient

    async with InferenceClient(address) as asked:
        info = await asked.describe()
        request = asked.protocol.encode(asked.endpoint, info, rows(size), {})
        authority = asked.endpoint.authority
    body = b"".join(bytes(part) for part in request.body)
    async with grpc.aio.insecure_channel(authority) as channel:
        method = channel.unary_unary(request.url)
        return await at_a_time(count, width, lambda: method(body))


TRITON_ARM = """
import asyncio, sys, time
import numpy as np
import tritonclient.http.aio as triton
async def main():
    count, width = 4000, 32
    client = triton.InferenceServerClient(sys.argv[1], conn_limit=width)
    given = triton.InferInput("rows", [1, 4], "FP64")
    given.set_data_from_numpy(np.ones((1, 4)), binary_data=False)
    async def call():
        (await client.infer("churn", [given])).as_numpy("score")
    left = iter(range(count))
    async def work():
        for _ in left:
            await call()
    await call()
    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(width)))
    print(time.perf_counter() - began)
    await client.close()
asyncio.run(main())
"""

STATIC = """
import asyncio, json, sys
from aiohttp import web
ROWS = int(sys.argv[1])
ANSWER = json.dumps({"model_name": "churn", "model_version": "1", "outputs": [
    {"name": "score", "datatype": "FP64", "shape": [ROWS, 1], "data": [0.5] * ROWS}
]}).encode()
HEAD = json.dumps({"model_name": "churn", "model_version": "1", "outputs": [
    {"name": "score", "datatype": "FP64", "shape": [ROWS, 1],
     "parameters": {"binary_data_size": 8 * ROWS}}
]}).encode()
SAME, LENGTH = HEAD + bytes(8 * ROWS), "inference-header-content-length"
META = {"name": "churn", "versions": ["1"], "platform": "python", "inputs": [
    {"name": "rows", "datatype": "FP64", "shape": [-1, 4]}], "outputs": [
    {"name": "score", "datatype": "FP64", "shape": [-1, 1]}]}
async def infer(request):
    await request.read()
    if LENGTH in request.headers:
        return web.Response(body=SAME, headers={LENGTH: str(len(HEAD))})
    return web.Response(body=ANSWER, content_type="application/json")
async def meta(request):
    return web.json_response(META)
async def main():
    app = web.Application(client_max_size=2**26)
    app.router.add_get("/v2/models/churn", meta)
    app.router.add_post("/v2/models/churn/infer", infer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


class Static:
    """A server that answers the same to all, in a process of its own."""

    def __init__(self, size: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", STATIC, str(size)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def make_table(path: Path, count: int) -> None:
    """Parquet of a key and four features, a row group each 200,000 rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = np.random.default_rng(3)
    schema = pa.schema([("id", pa.int64()), *((name, pa.float64()) for name in FEATURES)])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, count, 200_000):
            size = min(200_000, count - first)
            columns = {name: chance.normal(size=size) for name in FEATURES}
            writer.write_table(
                pa.table({"id": np.arange(first, first + size), **columns}, schema=schema)
            )


async def batch_arm(address: str, table: str, folder: str) -> None:
    """`score_served`, with all that it promises."""
    import pyarrow.dataset as ds

    from backbeat.data import FolderStore
    from backbeat.inference import InferenceClient, Resilience
    from backbeat.inference.scoring import Scoring
    from backbeat.inference.served import Asking, score_served
    from backbeat.inference.tally import Tally

    scoring = Scoring(
        data=ds.dataset(table),
        input_digest="sha256:bench",
        model_version=address,
        store=FolderStore(Path(folder)),
        output="scores",
        keys=["id"],
        features=list(FEATURES),
        partition=None,
        shard_rows=100_000,
        parameters={},
    )
    async with InferenceClient(address, resilience=Resilience(in_flight=16)) as client:
        await score_served(scoring, client, Asking(request_rows=4096), tally=Tally())


async def tuned_arm(address: str, table: str, folder: str) -> None:
    """Read, ask by aiohttp, eight at a time, and write one file in order."""
    import aiohttp
    import numpy as np
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    url = address.removeprefix("oip+") + "/infer"
    gate = asyncio.Semaphore(8)
    schema = pa.schema([("id", pa.int64()), ("score", pa.float64())])
    async with aiohttp.ClientSession() as session:

        async def ask(batch: pa.RecordBatch) -> pa.RecordBatch:
            try:
                matrix = np.column_stack([batch.column(name).to_numpy() for name in FEATURES])
                raw = matrix.tobytes()
                head = json.dumps(
                    {
                        "inputs": [
                            {
                                "name": "rows",
                                "datatype": "FP64",
                                "shape": matrix.shape,
                                "parameters": {"binary_data_size": len(raw)},
                            }
                        ],
                        "parameters": {"binary_data_output": True},
                    }
                ).encode()
                headers = {"inference-header-content-length": str(len(head))}
                async with session.post(url, data=head + raw, headers=headers) as answer:
                    body = await answer.read()
                    size = int(answer.headers["inference-header-content-length"])
                scores = np.frombuffer(body[size:], "<f8")
                return pa.record_batch([batch.column("id"), pa.array(scores)], schema=schema)
            finally:
                gate.release()

        waiting: list[asyncio.Task[pa.RecordBatch]] = []
        with pq.ParquetWriter(Path(folder) / "tuned.parquet", schema) as writer:
            for batch in ds.dataset(table).to_batches(batch_size=4096):
                await gate.acquire()
                waiting.append(asyncio.create_task(ask(batch)))
                while waiting and waiting[0].done():
                    writer.write_batch(waiting.pop(0).result())
            for task in waiting:
                writer.write_batch(await task)


def run_arm(name: str, *words: object) -> tuple[float, float]:
    """One arm in a process of its own: its seconds, and its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, __file__, "--arm", name, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    seconds, peak = map(float, done.stdout.split()[-2:])
    return seconds, peak


def one_arm(name: str, words: list[str]) -> None:
    """What `run_arm` starts."""
    began = time.perf_counter()
    if name in {"batch", "tuned"}:
        asyncio.run({"batch": batch_arm, "tuned": tuned_arm}[name](*words))
        taken = time.perf_counter() - began
    else:
        arm = {"client": client_arm, "bare": bare_arm, "stub": stub_arm}[name]
        taken = asyncio.run(arm(words[0], *map(int, words[1:])))
    print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def figure(name: str, value: float, unit: str, target: float | None, *, least: bool = True) -> None:
    """One JSON line."""
    ok = target is None or (value >= target if least else value <= target)
    line = {"figure": f"inference.{name}", "value": round(value, 3), "unit": unit}
    print(json.dumps({**line, "target": target, "ok": ok}), flush=True)


def requests_figures(rounds: int) -> None:
    """Small and large requests to a server that answers the same to all."""
    from serving import environment

    best: dict[str, float] = {}

    def keep(name: str, seconds: float) -> None:
        best[name] = min(best.get(name, seconds), seconds)

    triton = environment("triton") / "bin" / "python"
    with Static(1) as small, Static(32_768) as large:
        address = f"oip+http://127.0.0.1:{small.port}/v2/models/churn?binary=no"
        heavy = f"oip+http://127.0.0.1:{large.port}/v2/models/churn?binary=yes"
        for _ in range(rounds):
            for arm in ("client", "bare"):
                keep(arm, run_arm(arm, address, SMALL, 32, 1)[0])
                keep(f"large {arm}", run_arm(arm, heavy, LARGE, 8, 32_768)[0])
            done = subprocess.run(
                [str(triton), "-c", TRITON_ARM, f"127.0.0.1:{small.port}"],
                capture_output=True,
                text=True,
                check=True,
            )
            keep("tritonclient", float(done.stdout))
    figure("small.requests_a_second", SMALL / best["client"], "1/s", None)
    figure("small.to_bare_aiohttp", best["bare"] / best["client"], "ratio", 0.8)
    figure("small.to_tritonclient", best["tritonclient"] / best["client"], "ratio", 1.3)
    figure("large.to_bare_aiohttp", best["large bare"] / best["large client"], "ratio", 0.9)


def triton_figures(rounds: int, count: int, many: int) -> None:
    """GRPC and batch scoring against a real Triton."""
    import triton_server

    with tempfile.TemporaryDirectory(prefix="bench-inference-") as name:
        folder = Path(name)
        served = triton_server.start(folder / "triton")
        try:
            best: dict[str, float] = {}
            address = served.addresses["grpc"]
            for _ in range(rounds):
                for arm in ("client", "stub"):
                    seconds, _peak = run_arm(arm, address, SMALL, 32, 1)
                    best[arm] = min(best.get(arm, seconds), seconds)
            figure("grpc.to_raw_stub", best["stub"] / best["client"], "ratio", 0.9)
            peaks = {}
            for size in (count, many):
                make_table(folder / f"{size}.parquet", size)
            for turn in range(2):
                for arm in ("batch", "tuned"):
                    goal = folder / f"{arm}-{turn}"
                    goal.mkdir()
                    table = folder / f"{count}.parquet"
                    seconds, peak = run_arm(arm, served.addresses["binary"], table, goal)
                    best[arm] = min(best.get(arm, seconds), seconds)
                    if arm == "batch":
                        peaks[count] = peak
            figure("batch.to_hand_tuned", best["tuned"] / best["batch"], "ratio", 0.9)
            figure("batch.rows_a_second", count / best["batch"], "1/s", None)
            goal = folder / "many"
            goal.mkdir()
            table = folder / f"{many}.parquet"
            _, peaks[many] = run_arm("batch", served.addresses["binary"], table, goal)
            figure(f"batch.memory_of_{count}", peaks[count], "MiB", 400, least=False)
            figure(f"batch.memory_of_{many}", peaks[many], "MiB", 400, least=False)
            figure("batch.memory_growth", peaks[many] / peaks[count], "ratio", 1.1, least=False)
        finally:
            served.stop()


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--many", type=int, default=10_000_000)
    parser.add_argument("--arm", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if given.arm:
        one_arm(given.arm[0], given.arm[1:])
        return
    requests_figures(given.rounds)
    triton_figures(given.rounds, given.rows, given.many)


if __name__ == "__main__":
    main()
