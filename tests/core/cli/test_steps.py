from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from backbeat import embedded
from backbeat.kinds import KINDS, step_from_json

Make = Callable[..., Any]
LOG = {"kind": "lineage.log/v1", "facts": {"n": 1}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(backbeat: Make, kind: str) -> None:
    """The schema is valid JSON Schema, and has the kind and no unknown fields."""
    schema = backbeat("schema", kind, "--json").json
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["kind"] == {"const": kind}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (LOG, True),
        ({"facts": {}}, False),
        ({**LOG, "fact": {}}, False),
        ({**LOG, "kind": "x"}, False),
    ],
)
def test_the_schema_says_what_validates(
    backbeat: Make, value: dict[str, Any], *, valid: bool
) -> None:
    """An editor that knows the schema accepts what backbeat accepts."""
    schema = backbeat("schema", "lineage.log").json
    assert jsonschema.Draft202012Validator(schema).is_valid(value) is valid


def test_without_a_kind_the_kinds_are_listed(backbeat: Make) -> None:
    """Each kind comes with a sentence, as text and as JSON."""
    assert [item["kind"] for item in backbeat("schema", "--json").json] == list(KINDS)
    assert all(kind in backbeat("schema").out for kind in KINDS)


def test_validating_prints_kind_and_digest(backbeat: Make, step_file: Make, folder: Path) -> None:
    """A valid step's digest is that of the door, from a file or from stdin; nothing is created."""
    path = step_file(**LOG)
    digest = step_from_json(LOG).digest()
    expected = {"kind": "lineage.log/v1", "digest": digest, "step": LOG}
    assert backbeat("validate", path, "--json").json == expected
    assert backbeat("validate", "-", "--json", stdin=json.dumps(LOG)).json == expected
    assert digest in backbeat("validate", path).out
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": ', "stdin is not JSON: Expecting value"),
        ("[1]", "stdin holds a JSON list, and a step is an object"),
        ('{"kind": "lineage.log/v1", "facts": {"x": NaN}}', "stdin is not JSON: JSON has no NaN"),
        ('{"kind": "lineage.log/v2"}', "lineage.log has no version 'v2' here"),
        ('{"kind": "lineage.log/v1", "fact": 1}', "fact is no field of it"),
    ],
)
def test_what_does_not_validate_is_a_final_error(backbeat: Make, text: str, message: str) -> None:
    """Exit code 6, nothing on stdout, the error on stderr: as text and as JSON."""
    said = backbeat("validate", "-", stdin=text)
    assert (said.code, said.out) == (6, "")
    lines = said.err.splitlines()
    assert message in lines[0]
    assert lines[1].startswith("  hint: ")
    assert lines[-1] == "  a retry will not help"
    as_json = backbeat("validate", "-", "--json", stdin=text)
    assert (as_json.code, as_json.out) == (6, "")
    error = json.loads(as_json.err)
    assert error["error"] == "InvalidStep"
    assert message in error["message"]
    assert error["retryable"] is False


def test_running_a_step_records_it(backbeat: Make, step_file: Make, folder: Path) -> None:
    """The outcome is printed, and the run stands in the ledger under the names that were given."""
    said = backbeat(
        "run", step_file(**LOG), "--workflow", "w", "--run", "r", "--task", "t",
        "--partition", "p", "--json",
    )  # fmt: skip
    assert said.code == 0
    assert (said.json["status"], said.json["value"]) == ("done", {"n": 1})
    [record] = embedded(folder).ledger.runs()
    names = {name: record.identity[name] for name in ("workflow", "run", "task", "partition")}
    assert names == {"workflow": "w", "run": "r", "task": "t", "partition": "p"}
    assert record.identity["actor"]["method"] == "cli"


def test_a_run_without_a_name_is_a_new_one(backbeat: Make, step_file: Make, folder: Path) -> None:
    """Running the file again performs again; the same `--run` replays."""
    path = step_file(**LOG)
    for words in ((), (), ("--run", "r"), ("--run", "r")):
        assert backbeat("run", path, *words).code == 0
    assert len(embedded(folder).ledger.runs()) == 3


def test_exit_codes_tell_how_it_ended(backbeat: Make, asking: Path) -> None:
    """Waiting is 4, blocked is 1 and done is 0, for the same step in three runs."""
    ends = {}
    for run, choice in (("a", None), ("b", "reject"), ("c", "approve")):
        waiting = backbeat("run", asking, "--run", run, "--json")
        assert waiting.code == 4
        if choice:
            assert backbeat("signoff", choice, waiting.json["request_id"], "--yes").code == 0
        ends[run] = backbeat("run", asking, "--run", run).code
    assert ends == {"a": 4, "b": 1, "c": 0}


def test_an_unmet_need_is_a_final_error(
    backbeat: Make, asking: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a ledger a sign-off is refused before any work, and no file appears."""
    monkeypatch.setenv("BACKBEAT_LEDGER", "none")
    said = backbeat("run", asking)
    assert said.code == 6
    assert "signoff.request/v1 needs a ledger (rung 1)" in said.err
    assert not folder.exists()


def test_missing_data_names_the_file(backbeat: Make, step_file: Make, folder: Path) -> None:
    """A step whose data has not landed ends with 6, is recorded, and names the first file."""
    path = step_file(kind="lineage.log/v1", inputs=["landing/absent.parquet"])
    said = backbeat("run", path)
    assert said.code == 6
    assert "the first is landing/absent.parquet" in said.err
    assert embedded(folder).ledger.runs()[0].state == "failed"


def test_a_dry_run_writes_nothing(backbeat: Make, asking: Path, folder: Path) -> None:
    """It says what would be done, and neither ledger nor folder comes into being."""
    said = backbeat("run", asking, "--run", "r", "--dry-run", "--json")
    assert said.code == 0
    assert (said.json["would"], said.json["recorded"]) == ("perform", None)
    assert said.json["policy"] == "the built-in rules allow it"
    assert not folder.exists()


def test_a_dry_run_knows_what_would_replay(
    backbeat: Make, step_file: Make, folder: Path, ledger_dump: Make
) -> None:
    """Recorded work would replay under the same run name, and the ledger stays as it is."""
    path = step_file(**LOG)
    backbeat("run", path, "--run", "r")
    before = ledger_dump(folder / "ledger.db")
    said = backbeat("run", path, "--run", "r", "--dry-run", "--json").json
    assert (said["would"], said["recorded"]) == ("replay", "done")
    assert backbeat("run", path, "--run", "s", "--dry-run", "--json").json["would"] == "perform"
    assert ledger_dump(folder / "ledger.db") == before


def test_a_dry_run_does_not_make_a_registry(
    backbeat: Make, step_file: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step about a model, on a platform without one, is told so without MLflow's database."""
    monkeypatch.setenv("BACKBEAT_TRACKING_URI", "")
    said = backbeat("run", step_file(kind="model.promote/v1", model="m", version="3"), "--dry-run")
    assert said.code == 6
    assert "models:/m/3 does not exist" in said.err
    assert not folder.exists()


def test_a_file_that_is_not_there_is_wrong_usage(backbeat: Make, tmp_path: Path) -> None:
    """Exit code 2, as for every mistake in the command line."""
    assert backbeat("run", tmp_path / "absent.json").code == 2
    assert backbeat("runn").code == 2
