"""Write the JSON Schemas that are published: of every step's version, contracts and profiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backbeat.contract import DataContract
from backbeat.drift import Profile
from backbeat.drift.watchlist import watchlist_schema
from backbeat.kinds import KINDS, step_class
from backbeat.signoff import Asking, People

FOLDER = Path(__file__).parent / "schemas"


def published() -> dict[str, dict[str, Any]]:
    """The schemas by the name of their file."""
    steps = {
        f"{kind.replace('/', '-')}.json": step_class(kind).model_json_schema() for kind in KINDS
    }
    # what is written: in a file, segments do not repeat the edges
    profile = Profile.model_json_schema(mode="serialization")
    contract = DataContract.model_json_schema()
    return {
        **steps,
        "DataContract-v1.json": contract,
        "Profile-v2.json": profile,
        "SignoffAsking-v1.json": Asking.model_json_schema(),
        "SignoffPeople-v1.json": People.model_json_schema(),
        "Watchlist-v1.json": watchlist_schema(),
    }


def main() -> None:
    """Write one file each; the tests hold them against the code and every released version."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in published().items():
        (FOLDER / name).write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
