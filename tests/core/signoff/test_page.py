"""The page about sign-off: its examples are run, its table is the rules'."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from backbeat.signoff import Asking, Code, People, Rules, Stage

PAGE = (Path(__file__).parents[3] / "docs" / "signoff.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the request and the people of the page."""
    monkeypatch.chdir(tmp_path)
    asking, people = map(json.loads, _blocks("json"))
    [code] = _blocks("python")
    names = {"asking": asking, "people": people}
    exec(compile(code, "docs/signoff.md", "exec"), names)  # noqa: S102 - our own page
    assert "has voted already" in names["refused"]


def test_its_json_is_read() -> None:
    """Both documents are what they say they are."""
    asking, people = _blocks("json")
    Asking.model_validate_json(asking)
    People.model_validate_json(people)


def test_its_table_is_about_the_rules() -> None:
    """Every rule of the table is a field, and every code that it names is one."""
    rows = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named <= {*Rules.model_fields, *Stage.model_fields}
    assert {*Stage.model_fields} - {"name"} <= named
    [codes] = re.findall(r"code of its own \((.*?), \.\.\.\)", PAGE)
    assert {*re.findall(r"`(\w+)`", codes)} <= {*Code}


@pytest.mark.parametrize(("name", "model"), [("Asking", Asking), ("People", People)])
def test_its_documents_have_a_published_schema(name: str, model: type[BaseModel]) -> None:
    """docs/schemas holds them; `make schemas` writes them, and the page's examples are valid."""
    folder = Path(__file__).parents[3] / "docs" / "schemas"
    published = json.loads((folder / f"Signoff{name}-v1.json").read_text())
    assert published == json.loads(json.dumps(model.model_json_schema()))
    jsonschema.Draft202012Validator.check_schema(published)
    example = json.loads(_blocks("json")[0 if name == "Asking" else 1])
    jsonschema.validate(example, published)
