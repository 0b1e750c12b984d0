"""Many models in one file: what is checked for drift, where, and by which rules.

::

    version: 1
    defaults:
      rules: {effect_floor: 0.1}
      retrain: {after: 2}
    models:
      churn:
        current: warehouse/churn/{partition}.parquet
        reference: models:/churn@champion
      fraud:
        current: warehouse/fraud/{partition}.parquet
        reference: monitors/fraud/reference.json
        columns: [amount, country]

Each model is the fields of a `DriftCheck`; `{partition}` stands for the batch's name. A model's own
fields go before the defaults, and so do the single rules of `rules` and `retrain`. A model without
a `monitor` gets `monitors/<name>`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from backbeat.drift._strict_yaml import parse_yaml
from backbeat.drift.action import RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat.errors import InvalidStep
from backbeat.kinds import step_class, step_from_fields
from backbeat.reference import Dataset

if TYPE_CHECKING:
    from backbeat.step import Step

__all__ = ["Watchlist", "read_watchlist", "watchlist_schema"]

_KIND = "drift.check/v1"
_LARGEST = 2**20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_PLACE = re.compile(r"\{+[^{}]*\}+|[{}]")
_TEMPLATE = re.compile(r"\{[{%#]|\{partition\}")
_TOP = ("version", "defaults", "models")
_MERGED = ("rules", "retrain")
_FILLED = ("current", "reference", "report", "monitor")
_INNER: Mapping[str, type[BaseModel]] = {
    "current": Dataset,
    "rules": Rules,
    "retrain": RetrainPolicy,
}
_PROBE = "2000-01-01"


@dataclass(frozen=True)
class Watchlist:
    """The models of a file, each with its defaults merged in.

    Args:
        models: Raw fields of a `DriftCheck` by the model's name, with `{partition}` in them.
    """

    models: Mapping[str, Mapping[str, Any]]

    def fields(self, partition: str, *, only: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """The fields of each model's check for one batch.

        Args:
            partition: The batch's name, or an orchestrator's template for it.
            only: Names of the models that are wanted; all where empty.

        Raises:
            InvalidStep: A name is not in the file; says which is like it.
        """
        for name in only:
            if name not in self.models:
                raise InvalidStep(
                    f"the file has no model {name!r}",
                    hint=_near(name, self.models) or f"it has {', '.join(self.models)}",
                )
        return {
            name: {**_filled(fields, partition), "partition": partition}
            for name, fields in self.models.items()
            if not only or name in only
        }

    def steps(self, partition: str, *, only: Collection[str] = ()) -> dict[str, Step]:
        """Each model's check of one batch; arguments and errors as for `fields`."""
        cls = step_class(_KIND)
        found = self.fields(partition, only=only)
        return {name: step_from_fields(cls, fields) for name, fields in found.items()}


def read_watchlist(path: str | Path) -> Watchlist:
    """Read a file; YAML, and so JSON as well.

    Args:
        path: A local file, at most 1 MiB.

    Raises:
        InvalidStep: It cannot be read, or says something wrong; says which model and field.
        UnmetNeed: PyYAML is not installed.
    """
    name = Path(path).name
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidStep(
            f"{path} cannot be read: {error.strerror}", hint="look at its name and rights"
        ) from error
    if len(content) > _LARGEST:
        raise InvalidStep(
            f"{name} is larger than {_LARGEST} bytes", hint="cut it into several files"
        )
    found = _mapping(parse_yaml(content, name), where=name)
    _refuse_others(found, _TOP, where=name)
    if found.get("version") != 1 or found["version"] is True:
        raise InvalidStep(
            f"{name} has the version {found.get('version')!r}", hint="write `version: 1`"
        )
    models = found.get("models")
    if not isinstance(models, dict) or not models:
        raise InvalidStep(f"{name} names no models", hint="write them under `models:`, by name")
    defaults = _mapping(found.get("defaults"), where=f"{name}: defaults")
    known = [field for field in step_class(_KIND).model_fields if field != "partition"]
    usual = [field for field in known if field != "current"]
    _refuse_unknown(defaults, usual, where=f"{name}: defaults")
    merged: dict[str, dict[str, Any]] = {}
    for model, given in models.items():
        if not isinstance(model, str) or not _NAME.fullmatch(model):
            raise InvalidStep(
                f"{name} calls a model {model!r}",
                hint="use letters, digits and _, a letter first: tasks and assets are named so",
            )
        own = _mapping(given, where=f"{name}: {model}")
        _refuse_unknown(own, known, where=f"{name}: {model}")
        merged[model] = _checked(_merged(model, defaults, own), where=f"{name}: {model}")
    _refuse_shared(merged, name)
    return Watchlist(models=merged)


def watchlist_schema() -> dict[str, Any]:
    """The JSON Schema of such a file, for editors."""
    schema: dict[str, Any] = step_class(_KIND).model_json_schema()
    fields = {name: each for name, each in schema["properties"].items() if name != "partition"}
    # a bare string is a file's name
    fields["current"] = {"anyOf": [{"type": "string"}, fields["current"]]}
    usual = {name: each for name, each in fields.items() if name != "current"}
    defaults = {"type": "object", "additionalProperties": False, "properties": usual}
    model = {**defaults, "required": ["current"], "properties": fields}
    return {
        "$defs": schema.get("$defs", {}),
        "title": "Models that are watched for drift",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "models"],
        "properties": {
            "version": {"const": 1},
            "defaults": defaults,
            "models": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": f"^{_NAME.pattern}$"},
                "additionalProperties": model,
            },
        },
    }


def _merged(name: str, defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    found = {"monitor": f"monitors/{name}", **defaults, **own}
    for field in _MERGED:
        both = (defaults.get(field), own.get(field))
        if all(isinstance(each, dict) for each in both):
            found[field] = {**defaults[field], **own[field]}
    return found


def _checked(fields: dict[str, Any], *, where: str) -> dict[str, Any]:
    for field, value in fields.items():
        for text in _texts(value):
            _refuse_places(text, field=field, where=where)
    filled = {**_filled(fields, _PROBE), "partition": _PROBE}
    try:
        step_from_fields(step_class(_KIND), filled)
    except InvalidStep as error:
        raise InvalidStep(f"{where}: {error.message}", hint=error.hint) from error
    return fields


def _refuse_places(text: str, *, field: str, where: str) -> None:
    if field in _FILLED:
        left = text.replace("{partition}", "")
        # the days of a Dataset are its own placeholder
        found = _PLACE.search(left.replace("{day}", "") if field == "current" else left)
        hint = "write {partition}"
    else:
        # Airflow and Dagster would fill a template here, and the shell would not
        found = _TEMPLATE.search(text)
        hint = f"write {{partition}}, in {', '.join(_FILLED)} alone"
    if found:
        raise InvalidStep(f"{where}: {field} has the placeholder {found[0][:60]}", hint=hint)


def _refuse_shared(models: Mapping[str, Mapping[str, Any]], name: str) -> None:
    # two models that write the same batch's file would be each other's past
    owners: dict[str, str] = {}
    for model, fields in models.items():
        monitor = str(fields["monitor"]).strip("/")
        if monitor and owners.setdefault(monitor, model) != model:
            raise InvalidStep(
                f"{name}: {model} has the monitor {monitor}, which is that of {owners[monitor]}",
                hint="leave `monitor` out: each model then has monitors/<its name>",
            )


def _filled(fields: Mapping[str, Any], partition: str) -> dict[str, Any]:
    return {
        name: _with(partition, value) if name in _FILLED else value
        for name, value in fields.items()
    }


def _with(partition: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("{partition}", partition)
    if isinstance(value, dict):
        return {name: _with(partition, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with(partition, item) for item in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(name)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _mapping(value: Any, *, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidStep(f"{where} is a {type(value).__name__}", hint="write `field: value` lines")
    return value


def _refuse_unknown(found: Mapping[Any, Any], known: Collection[str], *, where: str) -> None:
    _refuse_others(found, known, where=where)
    for field, kind in _INNER.items():
        if isinstance(found.get(field), dict):
            _refuse_others(found[field], kind.model_fields, where=f"{where}: {field}")


def _refuse_others(found: Mapping[Any, Any], known: Collection[str], *, where: str) -> None:
    for name in found:
        if name not in known:
            near = _near(str(name), known)
            raise InvalidStep(
                f"{where} has the unknown field {name!r}",
                hint=near or f"known are {', '.join(known)}",
            )


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
