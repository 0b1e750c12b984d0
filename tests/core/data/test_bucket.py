"""The store on a bucket, beside a real S3 server and a proxy that spoils its answers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import Dataset
from backbeat.data import open_dataset, open_store, reading, references
from backbeat.errors import (
    BackbeatError,
    Conflict,
    InvalidData,
    NotFound,
    Refused,
    StorageFull,
    Unreachable,
)

Make = Callable[..., Any]
TABLE = pa.table({"flight": list(range(50_000)), "delay": [0.5] * 50_000})


def _put(store: Any, key: str, table: pa.Table = TABLE) -> None:
    with store.writing(key) as path:
        pq.write_table(table, path, row_group_size=5_000)


def test_the_probe_leaves_nothing(s3: Any, bucket: str) -> None:
    """Looking for conditional writes happens before the first write and is cleaned up."""
    store = open_store(f"{bucket}/p")
    store.write("k", b"x")
    assert s3.objects(bucket[5:]) == ["p/k"]


@pytest.mark.parametrize("refusal", [None, (501, "<Error><Code>NotImplemented</Code></Error>")])
def test_a_bucket_without_conditional_writes_is_refused(
    s3: Any, bucket: str, between: Make, refusal: tuple[int, str] | None
) -> None:
    """A server that overwrites all the same, or says that it cannot, gets nothing to hold."""

    def drop(method: str, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        conditional = headers.pop("if-none-match", None)
        return refusal if conditional and method == "PUT" else None

    between(drop)
    store = open_store(f"{bucket}/p")
    for write in (store.write, store.create, lambda key, _: store.writing(key).__enter__()):
        with pytest.raises(Refused, match=f"{bucket} has no conditional writes") as caught:
            write("k", b"x")
        assert "If-None-Match" in caught.value.hint
    assert s3.objects(bucket[5:]) == []
    assert not store.exists("k")  # reading is not refused


def test_a_large_file_goes_up_in_parts(s3: Any, bucket: str, between: Make) -> None:
    """A file beyond one part is uploaded in several, and is seen when all are there."""
    parts: list[list[str]] = []

    def watch(method: str, path: str, headers: dict[str, str]) -> None:
        if method == "PUT" and "partNumber=" in path:
            parts.append(s3.objects(bucket[5:]))

    between(watch)
    store = open_store(bucket)
    content = os.urandom(20 * 2**20)
    with store.writing("large.bin") as path:
        path.write_bytes(content)
    assert len(parts) == 3
    assert all(seen == [] for seen in parts)
    assert store.read("large.bin") == content


def test_an_upload_that_is_killed_is_never_seen(
    s3: Any, bucket: str, between: Make, start_python: Make
) -> None:
    """After SIGKILL between the parts of an upload the key has its old bytes, alone."""
    open_store(bucket).write("k", b"old")
    victim: list[int] = []

    def kill(method: str, path: str, headers: dict[str, str]) -> None:
        if "partNumber=2" in path:
            os.kill(victim[0], signal.SIGKILL)

    between(kill)
    source = """
import sys
from backbeat.data import open_store
store = open_store(sys.argv[1])
sys.stdin.readline()
with store.writing("k") as path:
    path.write_bytes(b"n" * 2**25)
"""
    process = start_python(source, bucket)
    victim.append(process.pid)
    process.communicate("go\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert s3.objects(bucket[5:]) == ["k"]
    assert open_store(bucket).read("k") == b"old"


def test_of_many_processes_one_creates(bucket: str, start_python: Make) -> None:
    """Processes that create the same key at the same moment: one is told yes, its bytes stay."""
    source = """
import sys
from backbeat.data import open_store
store = open_store(sys.argv[1])
store.exists("warm")
print("ready", flush=True)
sys.stdin.readline()
print(store.create("lock/k", sys.argv[2].encode() * 1000))
"""
    processes = [start_python(source, bucket, number) for number in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(answers) == ["False"] * 3 + ["True"]
    assert open_store(bucket).read("lock/k") == str(answers.index("True")).encode() * 1000


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((403, "<Error><Code>AccessDenied</Code></Error>"), Refused, "403 AccessDenied"),
        ((401, ""), Refused, "401"),
        ((400, "<Error><Code>ExpiredToken</Code></Error>"), Refused, "400 ExpiredToken"),
        ((403, "<Error><Code>QuotaExceeded</Code></Error>"), StorageFull, "403 QuotaExceeded"),
        ((507, "<Error><Code>XMinioStorageFull</Code></Error>"), StorageFull, "507"),
        ((503, "<Error><Code>SlowDown</Code></Error>"), Unreachable, "503 SlowDown"),
        ((429, ""), Unreachable, "429"),
    ],
)
def test_an_answer_says_whether_a_retry_helps(
    bucket: str, between: Make, answer: tuple[int, str], kind: type[BackbeatError], said: str
) -> None:
    """Each refusal of a server is an error of ours, which repeats no word of the server's."""
    store = open_store(bucket)
    store.write("k", b"old")  # the probe has been passed

    def spoil(method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        return answer[0], answer[1] + f"<!-- {headers['authorization']} -->"

    between(spoil)
    spoilt = open_store(bucket)
    with pytest.raises(kind, match=said) as caught:
        spoilt.read("k")
    assert "AKIDEXAMPLE" not in repr(caught.value) + str(caught.value.__cause__)
    assert caught.value.__suppress_context__
    with pytest.raises(kind):
        spoilt.write("k", b"new")
    assert store.read("k") == b"old"


def test_two_creators_that_met_are_told_to_try_again(bucket: str, between: Make) -> None:
    """A 409 says neither yes nor no: it is worth a retry, and is no key that exists."""
    open_store(bucket).write("warm", b"")
    busy = [True]

    def meet(method: str, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        if method == "PUT" and path.endswith("/k") and busy and busy.pop():
            return 409, "<Error><Code>ConditionalRequestConflict</Code></Error>"
        return None

    between(meet)
    store = open_store(bucket)
    with pytest.raises(Unreachable, match="409 ConditionalRequestConflict"):
        store.create("k", b"x")
    assert store.create("k", b"x")


def test_a_scheme_is_the_same_in_capitals(bucket: str) -> None:
    """`S3://` is `s3://`, for a store and for data."""
    store = open_store(bucket.upper().replace(bucket[5:].upper(), bucket[5:]))
    store.write("k.csv", b"x\n1\n")
    assert [file.size for file in store.files(f"S3{bucket[2:]}/k.csv")] == [4]


def test_a_bucket_that_nobody_answers_for_is_unreachable(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing listens, reading, listing and writing are worth a retry."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        store = open_store("s3://bucket")
        for call in (
            lambda: store.read("k"),
            lambda: list(store.keys("")),
            lambda: store.write("k", b""),
            lambda: store.files("k"),
        ):
            with pytest.raises(Unreachable) as caught:
                call()
            assert caught.value.retryable


def test_a_bucket_that_does_not_exist_is_named(s3: Any) -> None:
    """Writing and listing where there is no bucket says which one is missing."""
    store = open_store("s3://no-such-bucket/p")
    with pytest.raises(NotFound, match="s3://no-such-bucket"):
        store.write("k", b"x")
    with pytest.raises(NotFound, match="s3://no-such-bucket"):
        list(store.keys(""))


def test_data_is_pinned_by_its_etag_without_being_read(
    bucket: str, between: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference to a bucket's file has the ETag as digest, and nothing is downloaded for it."""
    asked: list[tuple[str, str]] = []

    def watch(method: str, path: str, headers: dict[str, str]) -> None:
        asked.append((method, path))

    store = open_store(bucket)
    _put(store, "landing/a.parquet")
    between(watch)
    watched = open_store(bucket)
    (before,) = references(watched, Dataset(uri="landing/a.parquet"))
    assert before.digest.startswith("etag:")
    assert [method for method, _ in asked] == ["HEAD"]
    assert references(watched, Dataset(uri="landing")) == (before,)
    _put(store, "landing/a.parquet", TABLE.slice(1))
    (after,) = references(watched, Dataset(uri="landing/a.parquet"))
    assert after.digest != before.digest


def test_a_column_is_read_without_its_neighbours(bucket: str, between: Make) -> None:
    """Opening a file and reading one column asks for ranges, not for the file."""
    ranges: list[str] = []

    def watch(method: str, path: str, headers: dict[str, str]) -> None:
        if method == "GET" and "list-type" not in path:
            ranges.append(headers["range"])

    store = open_store(bucket)
    _put(store, "a.parquet")
    between(watch)
    watched = open_store(bucket)
    data = open_dataset(watched, references(watched, Dataset(uri="a.parquet")))
    assert data.to_table(columns=["delay"]).equals(TABLE.select(["delay"]))
    (file,) = store.files("a.parquet")
    spans = [span.removeprefix("bytes=").split("-") for span in ranges]
    assert sum(int(stop) - int(start) + 1 for start, stop in spans) < file.size


def test_a_file_that_is_replaced_while_it_is_read_is_a_conflict(bucket: str) -> None:
    """Rows of two versions are never mixed: the reader is told."""
    store = open_store(bucket)
    _put(store, "a.parquet")
    (file,) = store.files("a.parquet")
    with store.filesystem("a.parquet").open_input_file(file.path) as opened:
        assert opened.read(4) == b"PAR1"
        _put(store, "a.parquet", TABLE.slice(1))
        with pytest.raises(Conflict, match="was replaced"), reading("data"):
            opened.read(4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a.parquet is empty \(0 bytes\)"),
        (b"PK\3\4 a zip" * 50, "a.parquet is not a whole parquet file: "),
    ],
)
def test_a_spoilt_file_is_named(bucket: str, content: bytes, message: str) -> None:
    """Empty and foreign objects are refused by name when they are opened, as in a folder."""
    store = open_store(bucket)
    store.write("a.parquet", content)
    with pytest.raises(InvalidData, match=message):
        open_dataset(store, references(store, Dataset(uri="a.parquet")))


def test_a_network_that_goes_while_reading_is_no_damaged_data(bucket: str, between: Make) -> None:
    """An answer that fails in the middle of a scan is worth a retry, and is not called damage."""
    store = open_store(bucket)
    _put(store, "a.parquet")
    broken: list[bool] = []

    def spoil(method: str, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        return (503, "") if broken and method == "GET" else None

    between(spoil)
    spoilt = open_store(bucket)
    data = open_dataset(spoilt, references(spoilt, Dataset(uri="a.parquet")))
    broken.append(True)
    with pytest.raises(Unreachable), reading("data"):
        data.to_table()


def test_a_fork_is_refused_instead_of_waiting_for_ever(bucket: str, start_python: Make) -> None:
    """A process forked after the bucket was used says so; used first in the child, it works."""
    source = """
import os, sys
from backbeat.data import open_store
from backbeat.errors import FinalError
store = open_store(sys.argv[1])
def child():
    if os.fork() == 0:
        try:
            print(store.create("k", b""), flush=True)
        except FinalError as error:
            print(error.message, flush=True)
        os._exit(0)
    os.wait()
child()
store.exists("k")
child()
"""
    said, errors = start_python(source, bucket).communicate(timeout=60)
    assert said.splitlines()[0] == "True", errors
    assert "when this process was forked" in said.splitlines()[1]
