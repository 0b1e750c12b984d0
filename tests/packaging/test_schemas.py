"""The published JSON Schemas say what the code says, and break nobody who wrote for an older."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from backbeat.contract import DataContract, compare
from backbeat.kinds import KINDS, step_class

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
CURRENT = {f"{kind.replace('/', '-')}.json": step_class(kind) for kind in KINDS}
RELEASED = [path for path in sorted(FOLDER.glob("released/*/*.json")) if path.name[0].islower()]


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", [*CURRENT, "DataContract-v1.json"])
def test_a_published_schema_is_current(name: str) -> None:
    """docs/schemas holds the schema of every kind and of contracts; `make schemas` writes it."""
    published = _read(FOLDER / name)
    assert published == CURRENT.get(name, DataContract).model_json_schema()
    jsonschema.Draft202012Validator.check_schema(published)


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_released_schema_is_not_broken(path: Path) -> None:
    """What validated against any released version validates today and means the same."""
    change = compare(_read(path), _read(FOLDER / path.name))
    assert change.level != "breaking", change.differences


def test_the_first_release_is_held_whole() -> None:
    """Every kind of 0.1.0 is among the released schemas, and so among the comparisons."""
    assert len([path for path in RELEASED if path.parent.name == "0.1.0"]) == 10


def test_a_schema_refuses_and_takes_what_the_step_does() -> None:
    """The schema that is compared is the one that documents are held against."""
    schema = _read(FOLDER / "inference.batch-v1.json")
    scored = {"model": "m", "data": {"uri": "a", "contract": "c"}, "output_key": "s", "key": ["id"]}
    jsonschema.validate({**scored, "output_contract": "c.json"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**scored, "output_contracts": "c.json"}, schema)


def test_the_facet_schema_is_sound() -> None:
    """The OpenLineage facet's own schema is a valid JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(_read(FOLDER / "BackbeatRunFacet.json"))
