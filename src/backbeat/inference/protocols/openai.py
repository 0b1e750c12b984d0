"""OpenAI's API, which most servers of language models speak: vLLM, LiteLLM, Ollama, transformers.

    openai+https://host/v1/chat/completions?model=NAME     a conversation a row, see `openai_chat`
    openai+https://host/v1/embeddings?model=NAME           a text a row, see `openai_embeddings`

It is for the rows of a table: each gets one answer, of one schema, and its tokens are counted. An
agent with tools is another matter: in Airflow the common.ai provider has operators for it, and
what they return can go on into a step of ours. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backbeat.errors import (
    BackbeatError,
    InvalidData,
    InvalidStep,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols import openai_chat, openai_embeddings
from backbeat.inference.protocols.failures import http_failure, retry_after
from backbeat.inference.protocols.http_json import HttpJson, get
from backbeat.inference.protocols.json_answers import read_json
from backbeat.inference.protocols.json_rows import json_request

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OpenAI"]

_ONE_ANSWER = {"n": 1, "stream": False}
_MOST_BYTES = 2**16
_CONFLICT = 409
_DAY = 86_400

_QUOTA = (Refused, "look at the account's budget and plan: waiting does not fill it up")
_KEY = (Refused, "give the connection credentials that this server knows")
_CODES: dict[str, tuple[type[BackbeatError], str]] = {
    "billing_hard_limit_reached": _QUOTA,
    "billing_not_active": _QUOTA,
    "budget_exceeded": _QUOTA,
    "insufficient_quota": _QUOTA,
    "invalid_api_key": _KEY,
    # what LiteLLM without a database says of a key that is not its own
    "no_db_connection": _KEY,
    "model_not_found": (NotFound, "look at what the server serves, and at ?model= in the address"),
    "content_filter": (
        InvalidData,
        "change the row, or let whoever runs the server change its content filter",
    ),
    "context_length_exceeded": (
        InvalidData,
        "shorten the row, ask for a shorter answer, or take a model with a longer context",
    ),
}
# what those servers say that have no code for it
_WORDS = {
    "model_not_found": re.compile(
        r"invalid model name|server is pinned to|\bmodel\b.{1,200}\bdoes not exist", re.IGNORECASE
    ),
    "content_filter": re.compile(r"content.?(filter|(management )?policy)", re.IGNORECASE),
    "context_length_exceeded": re.compile(r"context.?(length|window)", re.IGNORECASE),
}
# some servers say which key they do not know
_SECRET = re.compile(
    r"\bBearer\s+\S+"
    r"|\b(sk|pk|rk|gsk|xai|hf|nvapi)[-_][\w*.+/=-]+"
    r"|\b(key|token|hash)\b[^:=\n]{0,24}[:=]\s*['\"]?[\w*.+/=-]{8,}",
    re.IGNORECASE,
)
_DURATION = re.compile(
    r"((?P<h>[0-9]+)h)?((?P<m>[0-9]+)m(?!s))?((?P<s>[0-9]+(\.[0-9]+)?)s)?((?P<ms>[0-9]+)ms)?"
)
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]*)?")


class OpenAI(HttpJson):
    """Chat completions and embeddings, by the address's path."""

    path = re.compile(r"(?P<root>.*)/(chat/completions|embeddings)")
    example = "openai+https://<host>/v1/chat/completions?model=<name>"
    options = frozenset({"model"})

    def rows_a_request(self, endpoint: Endpoint) -> int:
        """One conversation, or as many texts as OpenAI takes."""
        return openai_embeddings.MOST_ROWS if _embeds(endpoint) else 1

    def check(self, endpoint: Endpoint) -> None:
        """Raise InvalidStep where an address is not one of this protocol, and say what is."""
        super().check(endpoint)
        if not endpoint.options.get("model"):
            raise InvalidStep(
                f"{endpoint.address!r} does not say which model.", hint=f"write {self.example}"
            )

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask which models there are."""
        return get(f"{self.root(endpoint)}/models")

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """Whether the server answers; raises NotFound where it lists models without this one."""
        if not super().read_ready(endpoint, response):
            return False
        listed = read_json(endpoint, response)
        entries = listed.get("data") if isinstance(listed, Mapping) else None
        names = [
            str(entry.get("id"))
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, Mapping)
        ]
        model = endpoint.options["model"]
        # some proxies keep what they serve to themselves
        if names and model not in names:
            raise NotFound(
                f"{endpoint.authority} does not serve {model!r}.",
                hint=_meant(model, names) or f"it serves {', '.join(sorted(names)[:10])}",
            )
        return True

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as a conversation or as texts; raises InvalidStep where a parameter is unknown."""
        kind = openai_embeddings if _embeds(endpoint) else openai_chat
        given = {name: value for name, value in parameters.items() if name not in _ONE_ANSWER}
        for name, only in _ONE_ANSWER.items():
            if parameters.get(name, only) != only:
                raise InvalidStep(
                    f"{name}={parameters[name]!r} does not give one answer a row.",
                    hint=f"leave {name} out",
                )
        for name in sorted(given.keys() - kind.PARAMETERS):
            raise InvalidStep(
                f"{endpoint.path} has no parameter {name!r} here.",
                hint=_meant(name, kind.PARAMETERS)
                or f"known are {', '.join(sorted(kind.PARAMETERS))}",
            )
        body = {"model": endpoint.options["model"], **kind.as_body(rows, given)}
        return json_request(endpoint.url, body, rows)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """The answer as columns; raises InvalidData where a content filter cut it."""
        answer = read_json(endpoint, response)
        if _embeds(endpoint):
            outputs = openai_embeddings.as_columns(endpoint, answer, rows.num_rows)
        else:
            outputs = openai_chat.as_columns(endpoint, answer, _asked(response))
        return Answer(
            outputs=outputs,
            model=str(answer.get("model") or ""),
            version=str(answer.get("system_fingerprint") or ""),
            request_id=response.headers.get("x-request-id") or str(answer.get("id") or ""),
            usage=_usage(answer.get("usage")),
        )

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """By the code of its error, where it has one that says more than its status."""
        if http_failure(endpoint, response) is None:
            return None
        words, codes = _told(response)
        words = _SECRET.sub("…", words)
        failure = http_failure(endpoint, replace(response, body=words.encode(errors="replace")))
        assert failure is not None  # noqa: S101 - its status is the same
        if response.status == _CONFLICT:
            return Unreachable(failure.message, hint="look at the server's log")
        found = [code for code in codes if code in _CODES]
        if isinstance(failure, (InvalidData, NotFound)):
            found += [code for code, said in _WORDS.items() if said.search(words)]
        meaning = _CODES[found[0]] if found else None
        # a limit passes, an empty account does not; what is refused for who asks stays refused
        final = isinstance(failure, (InvalidData, NotFound)) or (
            isinstance(failure, Overloaded) and meaning is _QUOTA
        )
        if meaning is not None and final:
            return meaning[0](failure.message, hint=meaning[1])
        if isinstance(failure, Overloaded):
            failure.retry_after = _patience(response)
        return failure


def _embeds(endpoint: Endpoint) -> bool:
    return endpoint.path.endswith("/embeddings")


def _asked(response: Response) -> Mapping[str, Any]:
    """What was asked, as an answer alone does not say whether it is to be JSON."""
    if response.request is None:
        return {}
    asked: dict[str, Any] = json.loads(b"".join(response.request.body))
    return asked


def _told(response: Response) -> tuple[str, list[str]]:
    """The words of an error, and the codes that name it."""
    text = bytes(response.body[:_MOST_BYTES]).decode(errors="replace")
    try:
        told = json.loads(text)
    except (RecursionError, ValueError):
        return text, []
    error = told.get("error", told) if isinstance(told, Mapping) else told
    if not isinstance(error, Mapping):
        return str(error), []
    words = error.get("message") or error.get("detail") or text
    codes = [error.get("code"), error.get("type"), told.get("code"), told.get("type")]
    return str(words), [code for code in codes if isinstance(code, str)]


def _patience(response: Response) -> float | None:
    """Seconds until the server wants to be asked again, by the most exact of what it says."""
    headers = response.headers
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    seconds = retry_after(response)
    if seconds is not None:
        return seconds
    resets = {
        kind: _seconds(headers.get(f"x-ratelimit-reset-{kind}", ""))
        for kind in ("requests", "tokens")
    }
    known = {kind: reset for kind, reset in resets.items() if reset is not None}
    spent = [
        reset
        for kind, reset in known.items()
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
    ]
    return max(spent) if spent else min(known.values(), default=None)


def _seconds(duration: str) -> float | None:
    """Of `6m0s`, `1.5s`, `20ms` or plain seconds; None of anything else, such as a date."""
    text = duration.strip()
    found = _DURATION.fullmatch(text)
    if text and found:
        hours, minutes, seconds, milliseconds = (
            float(found[unit] or 0) for unit in ("h", "m", "s", "ms")
        )
        return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000
    plain = float(text) if _NUMBER.fullmatch(text) else None
    # a larger one is a moment, in seconds since 1970
    return plain if plain is not None and plain < _DAY else None


def _usage(told: Any) -> dict[str, int]:
    found = told if isinstance(told, Mapping) else {}
    details = found.get("prompt_tokens_details")
    counts = {
        "input_tokens": found.get("prompt_tokens"),
        "output_tokens": found.get("completion_tokens"),
        "cached_tokens": details.get("cached_tokens") if isinstance(details, Mapping) else None,
    }
    return {name: count for name, count in counts.items() if type(count) is int and count >= 0}


def _meant(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
