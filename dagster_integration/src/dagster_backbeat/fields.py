"""Raw fields: JSON, `{{ partition_key }}` and references to other assets' values.

They become a Step when the asset runs, once everything they refer to is known. What is literal is
validated when the definitions load.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeAlias

import dagster as dg
from pydantic import BaseModel, ValidationError

from backbeat.errors import InvalidStep
from backbeat.reference import DataRef, Dataset
from backbeat.step import Step

__all__ = [
    "Data",
    "FromAsset",
    "Key",
    "Records",
    "Text",
    "Texts",
    "When",
    "asset_key",
    "check_literals",
    "referenced_assets",
    "render",
]

Key: TypeAlias = dg.AssetKey | str | Sequence[str]


@dataclass(frozen=True)
class FromAsset:
    """A value of another asset's latest materialization, for the same partition where it has one.

    Args:
        asset: The asset; it becomes a dependency.
        field: Name of the value, such as `version`; None takes all of them as one JSON object.
        text: Put the value in a text where `{}` stands, such as `profiles/flights/{}.json`.
    """

    asset: Key
    field: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class When:
    """Do something only if another asset's value is one of those named; else yield nothing.

    Args:
        asset: The asset; it becomes a dependency.
        field: Name of the value.
        among: The values on which to go on.
    """

    asset: Key
    field: str
    among: tuple[str, ...]


Text: TypeAlias = str | FromAsset
Texts: TypeAlias = Sequence[str] | FromAsset
Data: TypeAlias = Dataset | Mapping[str, Any] | str | FromAsset
Records: TypeAlias = Sequence[DataRef | Dataset | Mapping[str, Any] | str | FromAsset]

Values: TypeAlias = Callable[[dg.AssetKey], Mapping[str, Any]]


def asset_key(key: Key) -> dg.AssetKey:
    """An asset key; a string's `/` separates the key's parts."""
    if isinstance(key, dg.AssetKey):
        return key
    return dg.AssetKey.from_user_string(key) if isinstance(key, str) else dg.AssetKey(list(key))


def referenced_assets(fields: Any) -> list[dg.AssetKey]:
    """Assets that the fields refer to, each once, in order."""
    return list(dict.fromkeys(asset_key(item.asset) for item in _references(fields)))


def render(fields: Any, *, partition_key: str | None, values: Values) -> Any:
    """Fill in everything that was not known before the run.

    A text may use `{{ partition_key }}` and `{{ add_days(partition_key, 1) }}`.

    Args:
        fields: JSON with templates and references, to any depth.
        partition_key: The run's partition, if it has one.
        values: Reads an asset's values.

    Raises:
        InvalidStep: A template or a reference that leads nowhere; a retry does not help.
    """
    if isinstance(fields, FromAsset):
        return _read(fields, values)
    if isinstance(fields, BaseModel):
        fields = fields.model_dump(mode="json")
    if isinstance(fields, str):
        return _render_text(fields, partition_key) if "{{" in fields else fields
    if isinstance(fields, Mapping):
        return {
            key: render(item, partition_key=partition_key, values=values)
            for key, item in fields.items()
        }
    if isinstance(fields, (list, tuple)):
        return [render(item, partition_key=partition_key, values=values) for item in fields]
    return fields


def check_literals(cls: type[Step], fields: Mapping[str, Any]) -> None:
    """Validate the fields that hold no template, so that a slip shows when definitions load.

    Raises:
        DagsterInvalidDefinitionError: An unknown field, or a literal of the wrong type; says which.
    """
    later = {name for name, value in fields.items() if _is_templated(value)}
    literal = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for name, value in fields.items()
        if name not in later
    }
    try:
        cls.model_validate(literal)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_url=False)
            # a rule over several fields can only be held against all of them, at run time
            if item["loc"] and not (item["type"] == "missing" and item["loc"][0] in later)
        ]
        whole = [item["msg"] for item in error.errors() if not item["loc"] and not later]
        if problems or whole:
            raise dg.DagsterInvalidDefinitionError(
                f"{cls.kind} does not validate: {'; '.join([*problems, *whole])}"
            ) from error


def _references(fields: Any) -> Iterator[FromAsset | When]:
    if isinstance(fields, (FromAsset, When)):
        yield fields
    elif isinstance(fields, Mapping):
        for item in fields.values():
            yield from _references(item)
    elif isinstance(fields, (list, tuple)):
        for item in fields:
            yield from _references(item)


def _is_templated(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, Mapping):
        return any(_is_templated(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_is_templated(item) for item in value)
    return isinstance(value, FromAsset)


def _read(reference: FromAsset, values: Values) -> Any:
    key = asset_key(reference.asset)
    found = values(key)
    value: Any = dict(found)
    if reference.field is not None:
        if reference.field not in found:
            near = difflib.get_close_matches(reference.field, found, n=1)
            raise InvalidStep(
                f"{key.to_user_string()} has no value {reference.field!r}",
                hint=f"did you mean {near[0]}?" if near else f"it has: {', '.join(found)}",
            )
        value = found[reference.field]
    return value if reference.text is None else reference.text.replace("{}", str(value))


def _render_text(text: str, partition_key: str | None) -> str:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    names: dict[str, Any] = {"add_days": _add_days}
    if partition_key is not None:
        names["partition_key"] = partition_key
    try:
        return SandboxedEnvironment(undefined=StrictUndefined).from_string(text).render(names)
    except (TemplateError, ValueError, TypeError) as error:
        known = f"the partition key {partition_key}" if partition_key else "a run without partition"
        raise InvalidStep(
            f"the template {text!r} cannot be filled from {known}: {error}",
            hint="use {{ partition_key }} or {{ add_days(partition_key, 1) }} in a partitioned run",
        ) from error


def _add_days(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
