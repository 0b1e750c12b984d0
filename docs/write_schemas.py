"""Write the JSON Schemas that are published: of every step's version, and of a data contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backbeat.contract import DataContract
from backbeat.kinds import KINDS, step_class

FOLDER = Path(__file__).parent / "schemas"


def published() -> dict[str, dict[str, Any]]:
    """The schemas by the name of their file."""
    steps = {
        f"{kind.replace('/', '-')}.json": step_class(kind).model_json_schema() for kind in KINDS
    }
    return {**steps, "DataContract-v1.json": DataContract.model_json_schema()}


def main() -> None:
    """Write one file each; the tests hold them against the code and every released version."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in published().items():
        (FOLDER / name).write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
