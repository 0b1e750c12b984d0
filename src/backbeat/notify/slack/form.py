"""A request's form as a Slack modal, and its answers back in the types that the form names.

The form is a flat JSON Schema: an object of `string` (with or without `enum`), `number`, `integer`,
`boolean`, and `array` of an `enum`. What the answers may be is for the vote to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbeat.canonical import digest
from backbeat.errors import InvalidData
from backbeat.notify.plain import line
from backbeat.notify.slack.text import plain_text
from backbeat.notify.slack.value import Choice

__all__ = ["CALLBACK", "answers_of", "outcome_view", "reason_of", "vote_view"]

CALLBACK = "backbeat_vote"
_MOST_OPTIONS, _MOST_FIELDS = 100, 90
_LONGEST_REASON = 3000
_TITLES: Mapping[Choice, str] = {"approve": "Approve", "reject": "Reject"}
_REASON = "backbeat_reason"


def vote_view(
    choice: Choice, form: Mapping[str, Any] | None, *, metadata: str, request_id: str
) -> dict[str, Any]:
    """The modal that asks for a reason and the form's fields.

    Args:
        choice: What is about to be said.
        form: JSON Schema of the answers; None for no form.
        metadata: What comes back with the answers, at most 3,000 letters.
        request_id: Shown.

    Raises:
        InvalidData: Slack cannot show this form.
    """
    blocks = [
        {"type": "context", "elements": [plain_text(f"Request {request_id}", 200)]},
        *[_input(name, spec, choice, form or {}) for name, spec in _fields(form).items()],
        {
            "type": "input",
            "block_id": _REASON,
            "optional": True,
            "label": plain_text("Reason", 200),
            "element": {
                "type": "plain_text_input",
                "action_id": "value",
                "multiline": True,
                "max_length": _LONGEST_REASON,
            },
        },
    ]
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": metadata,
        "title": plain_text(_TITLES[choice], 24),
        "submit": plain_text(_TITLES[choice], 24),
        "close": plain_text("Cancel", 24),
        "blocks": blocks,
    }


def outcome_view(title: str, text: str) -> dict[str, Any]:
    """What the modal says after the vote."""
    return {
        "type": "modal",
        "title": plain_text(title, 24),
        "close": plain_text("Close", 24),
        "blocks": [{"type": "section", "text": plain_text(text, 2900, otherwise="Done.")}],
    }


def reason_of(values: Mapping[str, Any]) -> str:
    """The reason, in the voter's own words: they are bounded, and harmless only where shown."""
    said = _element(values, _REASON).get("value")
    return said[:_LONGEST_REASON] if isinstance(said, str) else ""


def answers_of(form: Mapping[str, Any] | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """The answers by field; one that was left empty is not among them.

    Args:
        form: JSON Schema of the answers.
        values: The view's `state.values`.
    """
    found: dict[str, Any] = {}
    for name, spec in _fields(form).items():
        answer = _answer(spec, _element(values, _block(name)))
        if answer is not None:
            found[name] = answer
    return found


def _fields(form: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]]:
    fields: Mapping[str, Mapping[str, Any]] = (form or {}).get("properties", {})
    if len(fields) > _MOST_FIELDS:
        raise _unshowable(f"it has more than {_MOST_FIELDS} fields")
    return fields


def _block(name: str) -> str:
    # a name may be longer than a block's id
    return digest(name)[7:31]


def _element(values: Mapping[str, Any], block: str) -> Mapping[str, Any]:
    found = values.get(block)
    element = found.get("value") if isinstance(found, Mapping) else None
    return element if isinstance(element, Mapping) else {}


def _input(
    name: str, spec: Mapping[str, Any], choice: Choice, form: Mapping[str, Any]
) -> dict[str, Any]:
    # a rejection may leave everything empty
    optional = choice != "approve" or name not in form.get("required", ())
    made: dict[str, Any] = {
        "type": "input",
        "block_id": _block(name),
        "optional": optional,
        "label": plain_text(line(str(spec.get("title") or name), 200), 200, otherwise="field"),
        "element": {**_control(spec), "action_id": "value"},
    }
    if spec.get("description"):
        made["hint"] = plain_text(line(str(spec["description"]), 500), 500)
    return made


def _control(spec: Mapping[str, Any]) -> dict[str, Any]:
    kind = spec.get("type")
    if kind == "string" and spec.get("enum"):
        return {"type": "static_select", "options": _options(spec["enum"])}
    if kind == "string":
        return {
            "type": "plain_text_input",
            "multiline": int(spec.get("maxLength", 3000)) > 200,  # noqa: PLR2004 - some lines
            "min_length": min(int(spec.get("minLength", 0)), 3000),
            "max_length": max(1, min(int(spec.get("maxLength", 3000)), 3000)),
        }
    if kind in {"number", "integer"}:
        bounds = {
            slack: str(spec[name])
            for name, slack in (("minimum", "min_value"), ("maximum", "max_value"))
            if spec.get(name) is not None
        }
        return {"type": "number_input", "is_decimal_allowed": kind == "number", **bounds}
    if kind == "boolean":
        return {"type": "static_select", "options": _options(["yes", "no"])}
    if kind == "array":
        return {
            "type": "multi_static_select",
            "options": _options(spec.get("items", {}).get("enum", ())),
        }
    raise _unshowable("it has a field of a type that a modal cannot ask for")


def _options(texts: Any) -> list[dict[str, Any]]:
    if not 0 < len(texts) <= _MOST_OPTIONS:
        raise _unshowable(f"a field has none, or more than {_MOST_OPTIONS} choices")
    # a choice comes back as its number: its text may be longer than an option's value
    return [
        {"text": plain_text(line(str(text), 75), 75), "value": str(number)}
        for number, text in enumerate(texts)
    ]


def _answer(  # noqa: PLR0911 - one line a type
    spec: Mapping[str, Any], element: Mapping[str, Any]
) -> Any:
    kind = spec.get("type")
    if kind == "boolean":
        chosen = _chosen(["yes", "no"], element.get("selected_option"))
        return None if chosen is None else chosen == "yes"
    if kind == "string" and spec.get("enum"):
        return _chosen(spec["enum"], element.get("selected_option"))
    if kind == "array":
        given = element.get("selected_options")
        offered = spec.get("items", {}).get("enum", ())
        chosen = [_chosen(offered, one) for one in given] if isinstance(given, list) else []
        return chosen or None
    said = element.get("value")
    if not isinstance(said, str) or not said:
        return None
    if kind in {"number", "integer"}:
        try:
            return int(said) if kind == "integer" else float(said)
        except ValueError:
            return said  # the vote says what is wrong with it
    return said


def _chosen(texts: Any, option: Any) -> Any:
    value = option.get("value") if isinstance(option, Mapping) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and int(value) < len(texts):
        return texts[int(value)]
    return None


def _unshowable(why: str) -> InvalidData:
    return InvalidData(
        f"Slack cannot show the form of this request: {why}",
        hint="vote by another way: the page, the command line",
    )
