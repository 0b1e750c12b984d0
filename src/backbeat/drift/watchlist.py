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
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbeat.errors import InvalidStep, UnmetNeed
from backbeat.kinds import step_class, step_from_fields

if TYPE_CHECKING:
    from backbeat.step import Step

__all__ = ["Watchlist", "read_watchlist", "watchlist_schema"]

_KIND = "drift.check/v1"
_LARGEST = 2**20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_PLACE = re.compile(r"\{(\w*)\}")
_TOP = ("version", "defaults", "models")
_MERGED = ("rules", "retrain")
_FILLED = ("current", "reference", "report", "monitor")
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
    found = _parsed(content, name)
    _refuse_others(found, _TOP, where=name)
    if found.get("version") != 1:
        raise InvalidStep(
            f"{name} has the version {found.get('version')!r}", hint="write `version: 1`"
        )
    models = found.get("models")
    if not isinstance(models, dict) or not models:
        raise InvalidStep(f"{name} names no models", hint="write them under `models:`, by name")
    defaults = _mapping(found.get("defaults"), where=f"{name}: defaults")
    known = [field for field in step_class(_KIND).model_fields if field != "partition"]
    _refuse_others(defaults, [field for field in known if field != "current"], where="defaults")
    merged = {}
    for model, given in models.items():
        if not isinstance(model, str) or not _NAME.fullmatch(model):
            raise InvalidStep(
                f"{name} calls a model {model!r}",
                hint="use letters, digits and _, a letter first: tasks and assets are named so",
            )
        own = _mapping(given, where=f"{name}: {model}")
        _refuse_others(own, known, where=f"{name}: {model}")
        merged[model] = _checked(_merged(model, defaults, own), where=f"{name}: {model}")
    return Watchlist(models=merged)


def watchlist_schema() -> dict[str, Any]:
    """The JSON Schema of such a file, for editors."""
    schema: dict[str, Any] = step_class(_KIND).model_json_schema()
    fields = {name: each for name, each in schema["properties"].items() if name != "partition"}
    # a bare string is a file's name
    fields["current"] = {"anyOf": [{"type": "string"}, fields["current"]]}
    model = {"type": "object", "additionalProperties": False, "properties": fields}
    usual = {name: each for name, each in fields.items() if name != "current"}
    return {
        "$defs": schema.get("$defs", {}),
        "title": "Models that are watched for drift",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "models"],
        "properties": {
            "version": {"const": 1},
            "defaults": {**model, "properties": usual},
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
    for field in _FILLED:
        _walk(fields.get(field), partial(_places, field=field, where=where))
    others = {name: value for name, value in fields.items() if name not in _FILLED}
    _walk(others, lambda text: _no_place(text, where))
    filled = {**_filled(fields, _PROBE), "partition": _PROBE}
    try:
        step_from_fields(step_class(_KIND), filled)
    except InvalidStep as error:
        raise InvalidStep(f"{where}: {error.message}", hint=error.hint) from error
    return fields


def _places(text: str, *, field: str, where: str) -> str:
    for name in _PLACE.findall(text):
        # the days of a Dataset are its own placeholder
        if name != "partition" and (field, name) != ("current", "day"):
            raise InvalidStep(
                f"{where}: {field} has the placeholder {{{name}}}", hint="write {partition}"
            )
    return text


def _no_place(text: str, where: str) -> str:
    if "{partition}" in text:
        raise InvalidStep(
            f"{where}: {{partition}} stands in {text[:60]!r}",
            hint=f"it is filled in {', '.join(_FILLED)} alone",
        )
    return text


def _filled(fields: Mapping[str, Any], partition: str) -> dict[str, Any]:
    return {
        name: _walk(value, lambda text: text.replace("{partition}", partition))
        if name in _FILLED
        else value
        for name, value in fields.items()
    }


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _walk(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, change) for item in value]
    return value


def _mapping(value: Any, *, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidStep(f"{where} is a {type(value).__name__}", hint="write `field: value` lines")
    return value


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


def _parsed(content: bytes, name: str) -> dict[Any, Any]:
    try:
        import yaml
    except ImportError as error:
        raise UnmetNeed(
            "a file of models is YAML, and PyYAML is not installed",
            hint='install "backbeat[drift]"',
        ) from error
    try:
        found = yaml.load(content, Loader=_loader())  # noqa: S506 - made of the safe one
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InvalidStep(
            f"{name}{line}: {problem}", hint="correct the YAML; tags and references are not read"
        ) from error
    return _mapping(found, where=name)


@cache
def _loader() -> Any:
    """PyYAML's safe loader, which neither drops a repeated key nor follows references."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                event = self.peek_event()  # type: ignore[no-untyped-call]
                raise yaml.composer.ComposerError(
                    None, None, "references (*) are not read", event.start_mark
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep=deep)

    # YAML 1.1 reads 2013-05-04 as a date; in a file of names it is one
    Loader.yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
