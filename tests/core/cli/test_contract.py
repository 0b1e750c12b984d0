from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from backbeat.contract import contract_from_json
from backbeat.kinds import step_class

Backbeat = Callable[..., Any]
SMALL: dict[str, Any] = {
    "name": "small",
    "version": "1.0.0",
    "columns": [{"name": "a", "type": "int64", "minimum": 0}],
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a JSON document."""

    def put(name: str, document: Any) -> Path:
        path = tmp_path / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return put


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A Parquet file that keeps the small contract."""
    path = tmp_path / "small.parquet"
    pq.write_table(pa.table({"a": [0, 1], "b": ["x", "y"]}), path)
    return path


def test_a_breaking_diff_fails(backbeat: Backbeat, write: Callable[..., Path]) -> None:
    """CI learns from the exit code, people from the table, programs from the JSON."""
    old = write("old.json", SMALL)
    new = write("new.json", {**SMALL, "columns": [{"name": "b", "type": "int64"}]})
    told = backbeat("contract", "diff", old, new)
    said = backbeat("contract", "diff", old, new, "--json")

    assert told.code == said.code == 1
    assert told.out.splitlines()[0] == "breaking"
    assert "column removed" in told.out
    assert "at least 2.0.0" in told.out
    assert said.json["level"] == "breaking"
    assert {"level": "breaking", "where": "a", "words": "column removed"} in said.json[
        "differences"
    ]


def test_an_additive_diff_and_none_succeed(backbeat: Backbeat, write: Callable[..., Path]) -> None:
    """What breaks nobody ends with 0, even where the version should have been raised."""
    old = write("old.json", SMALL)
    more = {**SMALL, "columns": [*SMALL["columns"], {"name": "b", "type": "string"}]}
    added = backbeat("contract", "diff", old, write("more.json", more))
    same = backbeat("contract", "diff", old, old)

    assert (added.code, same.code) == (0, 0)
    assert added.out.splitlines()[0] == "additive"
    assert "at least 1.1.0" in added.out
    assert same.out == "none\n"


def test_schemas_of_steps_are_compared(backbeat: Backbeat, write: Callable[..., Path]) -> None:
    """What `backbeat schema` prints is compared with what is published, without its kind."""
    printed = write("printed.json", backbeat("schema", "drift.check").out)
    schema = step_class("drift.check").model_json_schema()
    published = write("published.json", schema)
    schema["properties"]["q"]["default"] = 0.01
    stricter = write("stricter.json", schema)

    assert backbeat("contract", "diff", printed, published).out == "none\n"
    told = backbeat("contract", "diff", printed, stricter)
    assert told.code == 1
    assert "default 0.05 is now 0.01" in told.out


def test_check_tells_kept_from_broken(
    backbeat: Backbeat, write: Callable[..., Path], table: Path
) -> None:
    """Exit code 0 and 1; what is broken is shown with an example."""
    kept = backbeat("contract", "check", write("small.json", SMALL), table)
    strict = {**SMALL, "columns": [{"name": "a", "type": "int64", "minimum": 1}]}
    broken = backbeat("contract", "check", write("strict.json", strict), table)
    said = backbeat("contract", "check", write("strict.json", strict), table, "--json")

    assert (kept.code, broken.code, said.code) == (0, 1, 1)
    assert kept.out == "small 1.0.0: kept (2 rows)\n"
    assert "at least 1" in broken.out
    assert said.json["ok"] is False
    assert said.json["findings"][0]["example"] == "0"


def test_infer_begins_a_contract(
    backbeat: Backbeat, write: Callable[..., Path], table: Path
) -> None:
    """What it prints is a contract that the data keeps."""
    begun = backbeat("contract", "infer", table)
    named = backbeat("contract", "infer", table, "--name", "parcels")

    assert contract_from_json(begun.out, what="it").name == "small"
    assert named.json["name"] == "parcels"
    assert backbeat("contract", "check", write("begun.json", begun.out), table).code == 0


def test_a_folder_of_csv_is_data(backbeat: Backbeat, write: Callable[..., Path]) -> None:
    """A folder's files are one table, of either format, named relative to where one stands."""
    contract = write("small.json", SMALL)
    folder = contract.parent / "days"
    folder.mkdir()
    for name, value in (("1.csv", 1), ("2.csv", -1)):
        pyarrow.csv.write_csv(pa.table({"a": [value]}), folder / name)
    told = backbeat("contract", "check", contract, folder, "--json")
    assert (told.code, told.json["rows"]) == (1, 2)


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (("diff", "smal.json", "small.json"), "there is no smal.json", "did you mean"),
        (("diff", "small.json", "no/such.json"), "there is no no/such.json", "look in"),
        (("diff", "broken.json", "small.json"), "is not JSON", "give a contract"),
        (("diff", "list.json", "small.json"), "holds a JSON list", "write {"),
        (("diff", "step.json", "small.json"), "the old document is neither", "backbeat schema"),
        (("check", "step.json", "small.parquet"), "no data contract", "DataContract-v1.json"),
        (("check", "small.json", "small.parket"), "there is no small.parket", "did you mean"),
        (("check", "small.json", "small.json"), "neither .parquet nor .csv", "name the file"),
        (("infer", "empty.parquet"), "empty", "land the file again"),
        (("infer", "."), "", "check that data has landed"),
    ],
)
def test_every_error_says_what_to_do(
    backbeat: Backbeat,
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    says: str,
    hint: str,
) -> None:
    """Bad input ends with 6, names the file and gives a hint."""
    here = write("small.json", SMALL).parent
    write("broken.json", "{")
    write("list.json", [])
    write("step.json", {"kind": "drift.check/v1"})
    if words != ("infer", "."):
        pq.write_table(pa.table({"a": [1]}), here / "small.parquet")
        (here / "empty.parquet").touch()
    monkeypatch.chdir(here)
    told = backbeat("contract", *words)

    assert told.code == 6
    assert says in told.err
    assert hint in told.err.partition("hint: ")[2]


def test_a_window_is_wrong_usage(backbeat: Backbeat) -> None:
    """A pattern of days belongs to a step: the command asks for one file."""
    assert backbeat("contract", "infer", "landing/{day}.parquet").code == 2
