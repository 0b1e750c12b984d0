"""Many models in one file: what it means, and every slip told with model and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from backbeat.drift.watchlist import Watchlist, read_watchlist, watchlist_schema
from backbeat.errors import InvalidStep

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
GOOD = """
version: 1
defaults:
  report: reports/{partition}
  rules: {effect_floor: 0.1, q: 0.01}
  retrain: {after: 2}
models:
  churn:
    current: warehouse/churn/{partition}.parquet
    reference: models:/churn@champion
    rules: {q: 0.02}
  fraud:
    current: {uri: "warehouse/fraud/{day}.parquet", until: "{partition}", days: 3}
    reference: profiles/fraud.json
    monitor: watch/fraud
    columns: [amount, country]
"""


def read(tmp_path: Path, text: str | bytes) -> Watchlist:
    """Read a file of this text."""
    path = tmp_path / "models.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_watchlist(path)


def test_each_model_is_a_step_with_the_defaults_merged_in(tmp_path: Path) -> None:
    """A model's own rule goes before the default's; the others hold; the partition is filled in."""
    steps = read(tmp_path, GOOD).steps("2024-05-01")
    churn, fraud = (steps[name].to_json() for name in ("churn", "fraud"))
    assert churn == {
        "kind": "drift.check/v1",
        "current": {"uri": "warehouse/churn/2024-05-01.parquet"},
        "reference": "models:/churn@champion",
        "report": "reports/2024-05-01",
        "monitor": "monitors/churn",
        "partition": "2024-05-01",
        "rules": {"effect_floor": 0.1, "q": 0.02},
        "retrain": {"after": 2},
    } | {name: churn[name] for name in ("rules", "retrain")}
    assert churn["rules"]["q"] == 0.02
    assert churn["rules"]["effect_floor"] == 0.1
    assert fraud["monitor"] == "watch/fraud"
    assert fraud["current"] == {
        "uri": "warehouse/fraud/{day}.parquet",
        "until": "2024-05-01",
        "days": 3,
    }
    assert fraud["columns"] == ["amount", "country"]


def test_only_some_are_wanted_and_a_slip_is_understood(tmp_path: Path) -> None:
    """An unknown name says which one is like it."""
    found = read(tmp_path, GOOD)
    assert list(found.steps("2024-05-01", only=["fraud"])) == ["fraud"]
    with pytest.raises(InvalidStep, match="no model 'frauds'") as caught:
        found.steps("2024-05-01", only=["frauds"])
    assert caught.value.hint == "did you mean fraud?"


def test_json_is_read_too(tmp_path: Path) -> None:
    """For whoever makes the file by a program."""
    text = '{"version": 1, "models": {"a": {"current": "a.parquet", "reference": "p.json"}}}'
    assert list(read(tmp_path, text).models) == ["a"]


MODEL = "version: 1\nmodels:\n  churn:\n    current: a/{partition}.parquet\n    reference: p.json\n"


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("version: true\nmodels: {a: {}}", "version True", "version: 1"),
        ("version: 2\nmodels: {a: {}}", "version 2", "version: 1"),
        ("version: 1", "names no models", "models"),
        ("version: 1\nmodels: {}", "names no models", "models"),
        ("[]", "models.yaml is a list", "field: value"),
        ("version: 1\nmodel: {}", "unknown field 'model'", "did you mean models?"),
        (MODEL + "    colums: [a]\n", "churn has the unknown field 'colums'", "columns"),
        (MODEL + "    current: b\n", "line 6: 'current' is there twice", "correct the YAML"),
        (MODEL + "    rules: {efect_floor: 1}\n", "churn: rules has .*'efect", "effect_floor?"),
        (MODEL + "    retrain: {aftr: 1}\n", "churn: retrain has .*'aftr'", "did you mean after?"),
        (MODEL + "    retrain: {after: x}\n", "churn: .*retrain.after: ", ""),
        (
            MODEL.replace("a/{partition}.parquet", "{url: a}"),
            "churn: current has the unknown field 'url'",
            "did you mean uri?",
        ),
        (MODEL + "    q: 2\n", "churn: .*q: ", ""),
        (MODEL.replace("{partition}", "{date}"), "current .*placeholder {date}", "{partition}"),
        (MODEL.replace("{partition}", "{ partition }"), "placeholder { partition }", "{partition}"),
        (MODEL.replace("{partition}", "{partition:%Y}"), "placeholder {partition:%Y}", "{partit"),
        (MODEL.replace("{partition}", "{{ ds }}"), "placeholder {{ ds }}", "write {partition}"),
        (MODEL.replace("{partition}", "{partition"), "placeholder {", "write {partition}"),
        (MODEL.replace("p.json", "'{day}'"), "reference has the placeholder {day}", "{partition}"),
        (MODEL + "    columns: ['{partition}']\n", "columns has the placeholder", "current, ref"),
        (MODEL + "    columns: ['{% if 1 %}']\n", "columns has the placeholder {%", "current, ref"),
        (
            MODEL + "    rules: {importance: {'{partition}': 2}}\n",
            "rules has the placeholder {partition}",
            "current, reference",
        ),
        (MODEL + "    partition: x\n", "unknown field 'partition'", ""),
        (MODEL.replace("churn", "the churn"), "calls a model 'the churn'", "letters"),
        (MODEL.replace("churn", "7"), "calls a model 7", "letters"),
        ("version: 1\nmodels: {a: [1]}", "a is a list", "field: value"),
        (
            "version: 1\ndefaults: {current: a}\nmodels: {a: {}}",
            "models.yaml: defaults has the unknown field 'current'",
            "",
        ),
        (
            "version: 1\ndefaults: {rules: {aganst: rolling}}\nmodels: {a: {}}",
            "models.yaml: defaults: rules has the unknown field 'aganst'",
            "did you mean against?",
        ),
        (
            MODEL + "    monitor: watch/\n  fraud: {current: b, reference: p, monitor: watch}\n",
            "fraud has the monitor watch, which is that of churn",
            "leave `monitor` out",
        ),
        ("a: !!python/object/apply:os.system ['true']", r"line 1: tags \(!\) are not read", ""),
        ("a: !!timestamp b", r"line 1: tags \(!\) are not read", ""),
        ("a: 1\n? [b]\n: 2", "line 2: a key is a list or a mapping", "correct the YAML"),
        (f"a: {'1' * 5000}", "4300 digits", "correct the YAML"),
        ("[" * 100_000, "nested too deeply", "correct the YAML"),
        ("a: &x [1]\nb: *x", r"references \(\*\) are not read", ""),
        ("a: [", "line 1|line 2", "correct the YAML"),
        (b"\xff\xfe\x00", "models.yaml", ""),
        ("#" * (2**20 + 1), "larger than", "several files"),
    ],
)
def test_every_slip_is_told(tmp_path: Path, text: Any, says: str, hint: str) -> None:
    """Which model, which field, and what to write instead; nothing is run from a file."""
    with pytest.raises(InvalidStep, match=says.replace("{", r"\{")) as caught:
        read(tmp_path, text)
    assert hint in caught.value.hint


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(InvalidStep, match=r"none\.yaml cannot be read: No such file"):
        read_watchlist(tmp_path / "none.yaml")


def test_days_stay_text(tmp_path: Path) -> None:
    """YAML's own idea of a date must not reach a path or a name."""
    found = read(tmp_path, MODEL + "    monitor: 2024-05-01\n")
    assert found.models["churn"]["monitor"] == "2024-05-01"


def test_a_monitor_may_be_left_out_by_many(tmp_path: Path) -> None:
    """An empty one is nobody's past, so that models may share it."""
    text = MODEL.replace("models:", "defaults: {monitor: ''}\nmodels:")
    found = read(tmp_path, text + "  fraud: {current: b, reference: p}\n")
    assert {each["monitor"] for each in found.models.values()} == {""}


def test_the_published_schema_is_current() -> None:
    """`make schemas` writes what the code says."""
    published = json.loads((SCHEMAS / "Watchlist-v1.json").read_text())
    assert published == watchlist_schema()
    jsonschema.Draft202012Validator.check_schema(published)


def test_the_published_schema_takes_what_is_read_and_refuses_slips() -> None:
    """Editors complete and check the file by it."""
    checker = jsonschema.Draft202012Validator(watchlist_schema())
    assert checker.is_valid(yaml.safe_load(GOOD))
    for slip in ("    colums: [a]\n", "    q: 2\n", "    rules: {effekt: 1}\n"):
        assert not checker.is_valid(yaml.safe_load(MODEL + slip))
    assert not checker.is_valid({"version": 1, "models": {"a": {"reference": "p"}}})
