"""Chat completions of OpenAI's API: a row as a conversation, and what the model says as columns.

A row has `prompt` (text) or `messages` (JSON: a list of `role` and `content`), perhaps `system`
(text), and documents: binary columns whose field has the metadata `media_type`, an image's, that
of audio as WAV or MP3, or that of a PDF. The answer has `text`, `finish_reason` and `refusal`;
`json` where a schema was asked for, and `confidence` where `logprobs` were.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.canonical import canonical_bytes
from backbeat.contract.media import is_binary, media_type_of
from backbeat.errors import ContractBroken, InvalidAnswer, InvalidData, InvalidStep
from backbeat.inference.address import Endpoint
from backbeat.inference.prediction import CONFIDENCE
from backbeat.inference.protocols.json_answers import member

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PARAMETERS", "as_body", "as_columns"]

PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "schema",
        "seed",
        "stop",
        "temperature",
        "top_p",
    }
)

_TEXTS = ("prompt", "messages", "system")
_AUDIO = {"audio/mpeg": "mp3", "audio/wav": "wav"}
_PDF = "application/pdf"
_JSON = frozenset({"json_schema", "json_object"})
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 64


def as_body(rows: pa.RecordBatch, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A row as what is sent, without the model's name.

    Args:
        rows: One row.
        parameters: Of `PARAMETERS`; `schema` is a JSON Schema that the answer must keep to.

    Raises:
        ContractBroken: The row is no conversation.
        InvalidStep: `schema` is no schema, or stands beside a `response_format`.
    """
    if rows.num_rows != 1:
        raise ContractBroken(
            f"A request holds one conversation, and there are {rows.num_rows} rows.",
            hint="ask about one row at a time: `request_rows` of 1, or none",
        )
    given = dict(parameters)
    if "schema" in given:
        if "response_format" in given:
            raise InvalidStep(
                "`schema` and `response_format` both say what the answer is like.",
                hint="give one of them",
            )
        given["response_format"] = _response_format(given.pop("schema"))
    return {"messages": _conversation(rows), **given}


def as_columns(endpoint: Endpoint, answer: Any, asked: Mapping[str, Any]) -> pa.RecordBatch:
    """An answer as one row.

    Args:
        endpoint: Who answered.
        answer: What it answered.
        asked: What was sent; empty where that is not known.

    Raises:
        InvalidAnswer: It is no answer of this API, or not the JSON that was asked for.
        InvalidData: A content filter cut it.
    """
    import pyarrow as pa

    choices = member(endpoint, answer, "choices")
    if not isinstance(choices, list) or len(choices) != 1:
        raise InvalidAnswer(
            f"{endpoint.authority} answered one row with "
            f"{len(choices) if isinstance(choices, list) else 'no list of'} choices.",
            hint="look whether the address names the right protocol",
        )
    message = member(endpoint, choices[0], "message")
    finish = _text(endpoint, choices[0], "finish_reason")
    if finish == "content_filter":
        raise InvalidData(
            f"The content filter of {endpoint.authority} cut the answer to this row.",
            hint="change the row, or let whoever runs the server change its filter",
        )
    said = {
        "text": _text(endpoint, message, "content"),
        "finish_reason": finish,
        "refusal": _text(endpoint, message, "refusal"),
    }
    form = asked.get("response_format")
    if isinstance(form, Mapping) and form.get("type") in _JSON:
        said["json"] = None if said["refusal"] else _canonical(endpoint, said, form)
    try:
        columns = {name: pa.array([value], pa.string()) for name, value in said.items()}
    except ValueError as error:
        # half of a character: an escape that JSON allows and no text has
        raise InvalidAnswer(
            f"{endpoint.authority} answered with what is no text: {error}.",
            hint="look at the server's log",
        ) from error
    if asked.get("logprobs"):
        columns[CONFIDENCE] = pa.array([_confidence(endpoint, choices[0])], pa.float64())
    return pa.record_batch(columns)


def _response_format(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise InvalidStep(
            f"`schema` is {type(schema).__name__} and no JSON Schema.",
            hint='give an object, such as {"type": "object", "properties": {…}}',
        )
    name = _NO_NAME.sub("_", str(schema.get("title") or "answer"))[:_LONGEST_NAME]
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": True, "schema": dict(schema)},
    }


def _conversation(rows: pa.RecordBatch) -> list[Any]:
    texts: dict[str, Any] = {}
    documents = []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        value = column[0].as_py()
        if is_binary(field.type):
            if value is not None:
                documents.append(_document(field, value))
        elif field.name in _TEXTS:
            texts[field.name] = _filled(field.name, value)
        else:
            raise ContractBroken(
                f"A conversation has no place for column {field.name!r}.",
                hint=f"text goes into {', '.join(_TEXTS)}; a document is a binary column",
            )
    if ("prompt" in texts) == ("messages" in texts):
        raise ContractBroken(
            "A conversation is the column `prompt` or the column `messages`, and there are "
            f"{', '.join(rows.schema.names) or 'none'}.",
            hint="give one of the two",
        )
    system = texts.get("system")
    begun = [{"role": "system", "content": system}] if system else []
    if "messages" in texts:
        return [*begun, *_illustrated(_parsed(texts["messages"]), documents)]
    prompt = {"role": "user", "content": texts["prompt"]}
    return [*begun, *_illustrated([prompt], documents)]


def _filled(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None and name == "system":
        return ""
    raise ContractBroken(
        f"Column {name!r} holds {'null' if value is None else type(value).__name__}, and no text.",
        hint="leave out rows without it, and cast other types to text",
    )


def _parsed(text: str) -> list[Any]:
    try:
        messages = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ContractBroken(
            f"Column 'messages' is no JSON: {error}.", hint="write a list of role and content"
        ) from error
    listed = messages if isinstance(messages, list) else []
    roles = [each.get("role") if isinstance(each, dict) else None for each in listed]
    if not roles or not all(isinstance(role, str) for role in roles):
        raise ContractBroken(
            "Column 'messages' is no list of messages.",
            hint='write [{"role": "user", "content": "…"}]',
        )
    return listed


def _illustrated(messages: list[Any], documents: list[dict[str, Any]]) -> list[Any]:
    """Messages whose last one has documents behind its text."""
    if not documents:
        return messages
    last = messages[-1]
    content = last.get("content")
    if last["role"] != "user" or not isinstance(content, (str, list)):
        raise ContractBroken(
            "Documents belong to the last message, and that is not the user's.",
            hint="let the messages end with the user's question about the documents",
        )
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [*messages[:-1], {**last, "content": [*parts, *documents]}]


def _document(field: pa.Field, value: bytes) -> dict[str, Any]:
    media = media_type_of(field)
    coded = b64encode(value).decode()
    if media.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": f"data:{media};base64,{coded}"}}
    if media in _AUDIO:
        return {"type": "input_audio", "input_audio": {"data": coded, "format": _AUDIO[media]}}
    if media == _PDF:
        data = f"data:{media};base64,{coded}"
        return {"type": "file", "file": {"filename": f"{field.name}.pdf", "file_data": data}}
    raise ContractBroken(
        f"Column {field.name!r} holds documents of {media or 'an unknown kind'}.",
        hint=f"give the field the metadata `media_type`: image/…, "
        f"{', '.join(sorted(_AUDIO))} or {_PDF}",
    )


def _text(endpoint: Endpoint, found: Any, name: str) -> str | None:
    value = found.get(name) if isinstance(found, Mapping) else None
    if value is None or isinstance(value, str):
        return value
    raise InvalidAnswer(
        f"{endpoint.authority} answered with a {name} that is no text.",
        hint="look whether the address names the right protocol",
    )


def _canonical(endpoint: Endpoint, said: Mapping[str, Any], form: Mapping[str, Any]) -> str:
    """The answer as canonical JSON; how deep it keeps to its schema is the server's to promise."""
    if said["finish_reason"] == "length":
        raise InvalidAnswer(
            f"{endpoint.authority} cut its answer, so that it is no whole JSON.",
            hint="allow more of `max_completion_tokens`, or `max_tokens` as older servers call it",
        )
    try:
        value = json.loads(said["text"] or "")
        canonical = canonical_bytes(value).decode()
    except (RecursionError, ValueError) as error:
        raise _no_json(endpoint, str(error)) from error
    if not isinstance(value, dict):
        raise _no_json(endpoint, "it is no object")
    schema = form["json_schema"].get("schema") if form["type"] == "json_schema" else None
    for name in (schema or {}).get("required", ()):
        if name not in value:
            raise _no_json(endpoint, f"it has no {name!r}")
    return canonical


def _no_json(endpoint: Endpoint, why: str) -> InvalidAnswer:
    return InvalidAnswer(
        f"{endpoint.authority} did not answer with the JSON that was asked for: {why}.",
        hint="look whether the server and the model keep to a `response_format`; some ignore it",
    )


def _confidence(endpoint: Endpoint, choice: Mapping[str, Any]) -> float | None:
    """The geometric mean of its tokens' probabilities; None where the model gives none."""
    told = choice.get("logprobs")
    tokens = told.get("content") if isinstance(told, Mapping) else None
    if not tokens:
        return None
    try:
        mean = math.fsum(token["logprob"] for token in tokens) / len(tokens)
        return min(1.0, math.exp(mean))
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise InvalidAnswer(
            f"{endpoint.authority} answered with log probabilities that are no numbers.",
            hint="leave out `logprobs`",
        ) from error
