"""The table of step kinds, and the way from a step's JSON back to the step."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from backbeat.errors import InvalidStep
from backbeat.redact import redact
from backbeat.step import Step

__all__ = ["KINDS", "step_class", "step_from_fields", "step_from_json"]

# names, so that reading the table imports no step
KINDS: Mapping[str, str] = {
    "drift.check/v1": "backbeat.steps.drift_check:DriftCheck",
    "drift.performance/v1": "backbeat.steps.performance_check:PerformanceCheck",
    "drift.profile/v1": "backbeat.steps.build_profile:BuildProfile",
    "inference.batch/v1": "backbeat.steps.batch_inference:BatchInference",
    "inference.call/v1": "backbeat.steps.infer:Infer",
    "lineage.log/v1": "backbeat.steps.log_lineage:LogLineage",
    "model.candidate/v1": "backbeat.steps.register_candidate:RegisterCandidate",
    "model.compare/v1": "backbeat.steps.compare_models:CompareModels",
    "model.promote/v1": "backbeat.steps.promote_model:PromoteModel",
    "model.train/v1": "backbeat.steps.train_model:TrainModel",
    "quality.check/v1": "backbeat.steps.quality_check:QualityCheck",
    "signoff.request/v1": "backbeat.steps.signoff:Signoff",
}


def step_class(kind: str) -> type[Step]:
    """The Step class of a kind, such as `drift.check/v1` or, for its newest version, `drift.check`.

    Raises:
        InvalidStep: No such kind, or not in this version.
    """
    known = {name.partition("/")[0]: name for name in KINDS}
    full = known.get(kind, kind)
    if full not in KINDS:
        name, _, version = kind.partition("/")
        if name in known:
            raise InvalidStep(
                f"{name} has no version {version!r} here, only {known[name]}",
                hint="upgrade backbeat, or write the step for the version that is there",
            )
        near = difflib.get_close_matches(kind, [*KINDS, *known], n=1)
        raise InvalidStep(
            f"there is no step kind {kind!r}",
            hint=f"did you mean {near[0]}?" if near else f"known kinds: {', '.join(KINDS)}",
        )
    module, _, attribute = KINDS[full].partition(":")
    found: type[Step] = getattr(import_module(module), attribute)
    return found


def step_from_json(value: Mapping[str, Any]) -> Step:
    """Read a step from the JSON that `Step.to_json` writes.

    Raises:
        InvalidStep: Unknown kind, version or field, or a value of the wrong type; says which.
    """
    fields = dict(value)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str):
        raise InvalidStep(
            'a step\'s JSON needs "kind", such as "drift.check/v1"',
            hint=f"known kinds: {', '.join(KINDS)}",
        )
    return step_from_fields(step_class(kind), fields)


def step_from_fields(cls: type[Step], fields: Mapping[str, Any]) -> Step:
    """Build a step from its fields; a string where JSON is wanted is read as JSON.

    Orchestrators render templates to strings: `"['a', 'b']"`-like text reaches a list field. A
    string that does not fit its field is therefore parsed as JSON once.

    Raises:
        InvalidStep: An unknown field, a value of the wrong type, or a text that is still a
            template; says which.
    """
    try:
        step = cls.model_validate(dict(fields))
    except ValidationError as first:
        parsed = _parsed_where_wrong(fields, first)
        try:
            step = cls.model_validate(parsed)
        except ValidationError as error:
            raise _explained(cls, error) from error
    _refuse_templates(step)
    return step


def _refuse_templates(step: Step) -> None:
    # what nobody rendered would become the name of a file or of a model
    for name in step.model_fields_set:
        value = getattr(step, name)
        if isinstance(value, str) and "{{" in value:
            raise InvalidStep(
                f"{step.kind} does not validate: {name} is still a template (got {_short(value)})",
                hint="render it first, or write the value itself",
            )


def _parsed_where_wrong(fields: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    import ast
    import json

    parsed = dict(fields)
    # what a step's own validator has refused is of the right type: reading it as JSON must not
    # turn the text "None" into a None that would be accepted
    wrong = [item for item in error.errors() if item["loc"] and item["type"] != "value_error"]
    for name in {str(item["loc"][0]) for item in wrong}:
        text = parsed.get(name)
        if not isinstance(text, str):
            continue
        for read in (json.loads, ast.literal_eval):  # JSON first; then Python's own literals
            try:
                parsed[name] = read(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            break
    return parsed


def _explained(cls: type[Step], error: ValidationError) -> InvalidStep:
    problems = []
    hint = f"see `backbeat schema {cls.kind.partition('/')[0]}`"
    for item in error.errors(include_url=False)[:5]:
        field = ".".join(map(str, item["loc"])) or "the step"
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(field, cls.model_fields, n=1)
            problems.append(f"{field} is no field of it")
            if near:
                hint = f"did you mean {near[0]}?"
        else:
            got = "" if item["type"] == "missing" else f" (got {_short(item['input'])})"
            problems.append(f"{field}: {item['msg']}{got}")
    return InvalidStep(f"{cls.kind} does not validate: {'; '.join(problems)}", hint=hint)


def _short(value: Any, limit: int = 80) -> str:
    # what does not validate is shown, and may be an address with a password
    text = redact(repr(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
