"""The published JSON Schemas say what the code says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from backbeat.kinds import KINDS, step_class

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("kind", KINDS)
def test_a_published_schema_is_current(kind: str) -> None:
    """docs/schemas holds the schema of every kind; `make schemas` writes it."""
    published = json.loads((FOLDER / f"{kind.replace('/', '-')}.json").read_text())
    assert published == step_class(kind).model_json_schema()
    jsonschema.Draft202012Validator.check_schema(published)


def test_the_facet_schema_is_sound() -> None:
    """The OpenLineage facet's own schema is a valid JSON Schema."""
    facet = json.loads((FOLDER / "BackbeatRunFacet.json").read_text())
    jsonschema.Draft202012Validator.check_schema(facet)
