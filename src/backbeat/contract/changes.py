"""What a new version means to those who rely on the old one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from backbeat.contract.data_changes import data_differences
from backbeat.contract.differences import Difference, Level, highest
from backbeat.contract.document import DataContract, contract_from_json
from backbeat.contract.schema_changes import schema_differences
from backbeat.errors import InvalidData

__all__ = ["Change", "Difference", "compare"]

_SCHEMA_WORDS = {"$schema", "$defs", "properties"}


class Change(BaseModel):
    """The way from an old version to a new one.

    Args:
        level: `breaking` where any difference is, else `additive` where any is, else `none`.
        differences: In words, one by one.
        version_problem: How the version's number contradicts the level; None where it does not,
            and for schemas, which have no number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    differences: tuple[Difference, ...] = ()
    version_problem: str | None = None


def compare(old: DataContract | Mapping[str, Any], new: DataContract | Mapping[str, Any]) -> Change:
    """Compare two data contracts, or two JSON Schemas of what a step takes.

    The direction is that of trust. Readers trust a *data contract*: a promise that is withdrawn or
    loosened breaks them, a stricter one does not. Writers of steps trust a *schema*: what it no
    longer takes, or takes as something else (another default), breaks them.

    Args:
        old: A contract, or the parsed JSON of one or of a schema.
        new: The same sort of document.

    Raises:
        InvalidData: A document is neither, or they are not of one sort.
    """
    schemas = [_as_schema(old, "the old document"), _as_schema(new, "the new document")]
    if schemas[0] is not None and schemas[1] is not None:
        found = _between_schemas(schemas[0], schemas[1])
        return Change(level=highest(found), differences=found)
    if schemas != [None, None]:
        raise InvalidData(
            "one document is a data contract and the other a JSON Schema",
            hint="compare two versions of the same document",
        )
    before = _contract(old, "the old document")
    after = _contract(new, "the new document")
    found = tuple(data_differences(before, after))
    level = highest(found)
    return Change(
        level=level, differences=found, version_problem=_version_problem(before, after, level)
    )


def _as_schema(document: DataContract | Mapping[str, Any], what: str) -> Mapping[str, Any] | None:
    if isinstance(document, DataContract) or "columns" in document:
        return None
    if _SCHEMA_WORDS & set(document):
        return document
    raise InvalidData(
        f"{what} is neither a data contract (with `columns`) nor a JSON Schema",
        hint="give two contracts, or two schemas as `backbeat schema KIND` prints them",
    )


def _between_schemas(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Difference, ...]:
    try:
        return tuple(schema_differences(old, new))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        # whatever a file that calls itself a schema holds in the place of a keyword's value
        raise InvalidData(
            f"a document is no sound JSON Schema: {error}",
            hint="give schemas as `backbeat schema KIND` prints them",
        ) from error


def _contract(document: DataContract | Mapping[str, Any], what: str) -> DataContract:
    if isinstance(document, DataContract):
        return document
    return contract_from_json(document, what=what)


def _version_problem(old: DataContract, new: DataContract, level: Level) -> str | None:
    """Semantic versioning 2.0.0, rules 7 and 8 (semver.org)."""
    major, minor, _ = old.numbers
    if new.numbers < old.numbers:
        return f"the version goes back from {old.version} to {new.version}"
    if level == "breaking" and new.numbers[0] == major:
        least = f"{major + 1}.0.0"
    elif level == "additive" and new.numbers[:2] == (major, minor):
        least = f"{major}.{minor + 1}.0"
    else:
        return None
    article = "an" if level == "additive" else "a"
    return f"{article} {level} change of {old.version} is at least {least}, not {new.version}"
