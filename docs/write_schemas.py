"""Write the JSON Schema of every step's published version to docs/schemas."""

from __future__ import annotations

import json
from pathlib import Path

from backbeat.kinds import KINDS, step_class

FOLDER = Path(__file__).parent / "schemas"


def main() -> None:
    """Write one file a kind; the tests hold them against the code."""
    FOLDER.mkdir(exist_ok=True)
    for kind in KINDS:
        schema = step_class(kind).model_json_schema()
        path = FOLDER / f"{kind.replace('/', '-')}.json"
        path.write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
