from __future__ import annotations

import json
from pathlib import Path

from backbeat.data import FolderStore
from backbeat.lineage import FileSink
from backbeat.ports import Message


def test_a_repeat_is_one_file(tmp_path: Path) -> None:
    """An event that is delivered twice, as an outbox may, is one file named by its id."""
    sink = FileSink(FolderStore(tmp_path), "lineage")
    for _ in range(2):
        sink.deliver(Message("run-1-START", "openlineage", {"b": 1, "a": "é"}))
    [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file == tmp_path / "lineage" / "run-1-START.json"
    assert json.loads(file.read_bytes()) == {"a": "é", "b": 1}
