"""A table of images scored by a served model: bounded requests, bounded memory, no copies."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from backbeat import Actor, Done, Platform, RunIdentity, embedded, run_step
from backbeat.data import FolderStore
from backbeat.errors import ContractBroken, InvalidData
from backbeat.inference import read_scores
from backbeat.inference.client import InferenceClient
from backbeat.inference.resilience import Resilience
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.served import Asking, score_served
from backbeat.inference.serving import Serving
from backbeat.inference.tally import Tally
from backbeat.reference import Dataset
from backbeat.steps import BatchInference

OUTPUT = "scores/scans"
QUICK = Resilience(deadline_seconds=20, base_seconds=0.001, cap_seconds=0.002, in_flight=2)


@dataclass
class Lengths:
    """A KServe V1 server that answers an image with its length; real HTTP."""

    address: str = ""
    refused: int = 0
    asked: list[list[int]] = field(default_factory=list)

    async def ready(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "scans", "ready": True})

    async def predict(self, request: web.Request) -> web.Response:
        instances = (await request.json())["instances"]
        lengths = [len(b64decode(each["b64"])) for each in instances]
        self.asked.append(lengths)
        if self.refused in lengths:
            return web.json_response({"error": "no scan has such a length"}, status=400)
        return web.json_response({"predictions": lengths})


@pytest.fixture
def lengths() -> Iterator[Lengths]:
    """The server, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = Lengths()

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=2**28)
        app.router.add_get("/v1/models/scans", server.ready)
        app.router.add_post("/v1/models/scans:predict", server.predict)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.address = f"kserve-v1+http://127.0.0.1:{runner.addresses[0][1]}/v1/models/scans"
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield server
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def png(size: int) -> bytes:
    """Bytes that begin as a PNG does."""
    return b"\x89PNG\r\n\x1a\n" + bytes(size - 8)


def table(values: list[bytes], media_type: str = "image/png") -> pa.Table:
    """Scans with their numbers."""
    fields = [
        pa.field("id", pa.int64()),
        pa.field("scan", pa.binary(), metadata={"media_type": media_type}),
    ]
    columns = [pa.array(range(len(values)), pa.int64()), pa.array(values, pa.binary())]
    return pa.table(columns, schema=pa.schema(fields))


def scored(data: ds.Dataset, store: FolderStore, address: str, **asking: Any) -> Scored:
    """Score with what a test does not care about filled in."""

    async def run() -> Scored:
        scoring = Scoring(
            data=data,
            input_digest="sha256:input",
            model_version=address,
            store=store,
            output=OUTPUT,
            keys=["id"],
            features=["scan"],
            partition=None,
            shard_rows=10_000,
            parameters={},
        )
        async with InferenceClient(address, resilience=QUICK) as client:
            done, _ = await score_served(scoring, client, Asking(**asking), tally=Tally())
        return done

    return asyncio.run(run())


def test_requests_are_bounded_by_bytes(store: FolderStore, lengths: Lengths) -> None:
    """Small images go together, as many as fit; a larger one goes alone; every one is answered."""
    sizes = [100, 100, 100, 5000, 100, 900, 200, 100]
    data = ds.dataset(table([png(size) for size in sizes]))
    scored(data, store, lengths.address, request_bytes=1000)
    assert read_scores(store, OUTPUT)["score"].to_pylist() == sizes
    assert sorted(lengths.asked) == sorted([[100, 100, 100], [5000], [100, 900], [200, 100]])


def test_rows_bound_requests_too(store: FolderStore, lengths: Lengths) -> None:
    """Whichever comes first."""
    data = ds.dataset(table([png(10)] * 7))
    scored(data, store, lengths.address, request_bytes=10**6, request_rows=3)
    assert sorted(map(len, lengths.asked)) == [1, 3, 3]


def test_an_image_that_is_none_is_a_bad_row_and_is_not_copied(
    store: FolderStore, lengths: Lengths
) -> None:
    """It is not sent; the side file has its digest and length, the others their scores."""
    page = b"<html>not found</html>"
    values = [png(50), page, png(60), b"\xff\xd8\xff\xe0secret"]
    done = scored(ds.dataset(table(values)), store, lengths.address, max_bad_rows=2)
    assert (done.rows, done.bad) == (4, 2)
    assert read_scores(store, OUTPUT)["score"].to_pylist() == [50, 60]
    assert len(page) not in [size for asked in lengths.asked for size in asked]
    (side,) = list(store.keys(f"{OUTPUT}/_bad/"))
    content = store.read(side)
    bad = pq.read_table(pa.BufferReader(content)).to_pylist()
    assert [row["id"] for row in bad] == [1, 3]
    assert bad[0]["scan_sha256"] == "sha256:" + hashlib.sha256(page).hexdigest()
    assert [row["scan_bytes"] for row in bad] == [len(page), 10]
    assert "image/jpeg" in bad[1]["message"]
    assert b"secret" not in content
    assert b"<html>" not in content


def test_bad_images_cost_no_requests_of_their_own(store: FolderStore, lengths: Lengths) -> None:
    """The rows between them are asked about together, and come in their order."""
    values = [b"no", *[png(20 + at) for at in range(4)], b"no", b"no", png(30), png(31), b"no"]
    lengths.refused = 31
    done = scored(ds.dataset(table(values)), store, lengths.address, max_bad_rows=5)
    assert done.bad == 5
    assert lengths.asked == [[20, 21, 22, 23], [30, 31], [30], [31]]
    assert read_scores(store, OUTPUT)["id"].to_pylist() == [1, 2, 3, 4, 7]
    (side,) = list(store.keys(f"{OUTPUT}/_bad/"))
    bad = pq.read_table(pa.BufferReader(store.read(side)))
    assert bad["id"].to_pylist() == [0, 5, 6, 8, 9]
    assert bad["scan_bytes"].to_pylist() == [2, 2, 2, 31, 2]


def test_without_bad_rows_nothing_but_good_images_is_sent(
    store: FolderStore, lengths: Lengths
) -> None:
    """The error names the row and what its bytes are."""
    data = ds.dataset(table([png(50), b"GIF89a"]))
    with pytest.raises(InvalidData, match="image/gif"):
        scored(data, store, lengths.address)
    assert lengths.asked == []


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform whose contract about scans demands PNG; their files have no metadata."""
    found = embedded(tmp_path / "platform", registry=False)
    contract = {
        "name": "scans",
        "version": "1.0.0",
        "columns": [
            {"name": "id", "type": "int64"},
            {"name": "scan", "type": "binary", "media_type": "image/png", "nullable": False},
        ],
    }
    found.store.write("contracts/scans.json", json.dumps(contract).encode())
    return found


def stepped(platform: Platform, values: list[bytes], address: str) -> Any:
    """One scoring of scans under that contract, as a step."""
    with platform.store.writing("scans.parquet") as path:
        bare = table(values).cast(pa.schema([("id", pa.int64()), ("scan", pa.binary())]))
        pq.write_table(bare, path)
    step = BatchInference(
        model=address,
        data=Dataset(uri="scans.parquet", contract="contracts/scans.json"),
        output_key=OUTPUT,
        key=("id",),
        serving=Serving(resilience=QUICK, max_bad_rows=1),
    )
    identity = RunIdentity(
        workflow="w", run="r", task="t", attempt=1, actor=Actor(id="ana", method="python")
    )
    return run_step(step, identity, platform)


def test_a_contract_that_demands_a_media_type_is_checked_before_the_first_byte(
    platform: Platform, lengths: Lengths
) -> None:
    """However many bad rows may be: the data is not what its producer has promised."""
    with pytest.raises(ContractBroken, match="does not begin as image/png in 1 row"):
        stepped(platform, [png(50), b"\xff\xd8\xff\xe0"], lengths.address)
    assert lengths.asked == []


def test_a_contract_says_what_files_do_not(platform: Platform, lengths: Lengths) -> None:
    """A column of bytes is one of images by its contract: a refused one is not copied."""
    lengths.refused = 77
    done = stepped(platform, [png(50), png(77), png(60)], lengths.address)
    assert isinstance(done, Done)
    assert (done.value["rows"], done.value["bad"]) == (3, 1)
    (side,) = list(platform.store.keys(f"{OUTPUT}/_bad/"))
    (bad,) = pq.read_table(pa.BufferReader(platform.store.read(side))).to_pylist()
    assert (bad["id"], bad["scan_bytes"]) == (1, 77)


def test_the_page_about_media_is_true(platform: Platform, lengths: Lengths, tmp_path: Path) -> None:
    """Its snippets run, its pictures are pictures, and its step scores them."""
    page = (Path(__file__).parents[3] / "docs" / "media.md").read_text()
    names: dict[str, Any] = {"FOLDER": tmp_path, "ADDRESS": lengths.address}
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        exec(compile(snippet, "docs/media.md", "exec"), names)  # noqa: S102 - our own page
    platform.store.write("scans.parquet", (tmp_path / "scans.parquet").read_bytes())
    identity = RunIdentity(
        workflow="w", run="r", task="t", attempt=1, actor=Actor(id="ana", method="python")
    )
    done = run_step(names["step"], identity, platform)
    assert isinstance(done, Done)
    assert (done.value["rows"], done.value["bad"]) == (3, 0)


_MEMORY = """
import asyncio, resource, sys
sys.path.insert(0, {here!r})
import pyarrow.dataset as ds
import test_media_scoring as scoring
from backbeat.data import FolderStore
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scoring.scored(ds.dataset({path!r}), FolderStore({store!r}), {address!r}, request_bytes=2**20)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_a_file_larger_than_what_is_held_is_scored(tmp_path: Path, lengths: Lengths) -> None:
    """Of 480 MB in one row group, with requests of 1 MiB, less than the half is in memory."""
    path = tmp_path / "scans.parquet"
    count, size = 1920, 2**18
    schema = table([]).schema
    rows = [png(size - at) for at in range(20)]
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as written:
        whole = pa.concat_tables([table(rows)] * (count // len(rows)))
        numbered = whole.set_column(0, schema.field(0), pa.array(range(count), pa.int64()))
        written.write_table(numbered, row_group_size=count)
    del whole, numbered
    program = _MEMORY.format(
        here=str(Path(__file__).parent),
        path=str(path),
        store=str(tmp_path / "store"),
        address=lengths.address,
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=240
    )
    assert read_scores(FolderStore(tmp_path / "store"), OUTPUT).num_rows == count
    assert all(sum(asked) <= 2**20 for asked in lengths.asked)
    assert float(ended.stdout) < 240
