"""The ledger's port as an ASGI application: a POST a verb, and nobody comes in without a token."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import backbeat
from backbeat.errors import BackbeatError, InvalidData, NotFound, Refused, Unreachable
from backbeat.identity import Actor
from backbeat.ledger.postgres_database import POOL_SIZE
from backbeat.ledger.wire import (
    LARGEST_BODY,
    LONGEST_WATCH,
    PREFIX,
    VERBS,
    Verb,
    decode_call,
    encode_answer,
    encode_error,
    status_of,
    too_large,
)
from backbeat.platform import Platform
from backbeat.ports import AuditFact, Need
from backbeat.service.credentials import Token, TokenBook, recognised
from backbeat.service.gate import check_scope, perform
from backbeat.service.watching import Lookout

__all__ = ["ledger_app"]

_HEALTH = "/health"
_BESIDE = 2  # a drain, and the clock's work in `listening`; a watch has a connection of its own
_CALLS_AT_ONCE = POOL_SIZE - _BESIDE  # more would only wait for a connection
_log = logging.getLogger(__name__)
T = TypeVar("T")


def ledger_app(platform: Platform, tokens: TokenBook) -> Starlette:
    """The service that stands before a ledger.

    Args:
        platform: Whose ledger it is, and whose sinks `drain` delivers to.
        tokens: Who may call.

    Raises:
        UnmetNeed: The platform has no ledger.
    """
    platform.require([Need.LEDGER], what="a ledger service")
    service = _Service(platform, tokens)
    return Starlette(
        routes=[
            Route(_HEALTH, _health),
            Route(PREFIX + "{verb}", service.answer, methods=["POST"]),
        ],
        middleware=[Middleware(AuthenticationMiddleware, backend=service, on_error=_turned_away)],
        exception_handlers={HTTPException: _no_such_route},
    )


class _Service(AuthenticationBackend):  # type: ignore[misc]
    def __init__(self, platform: Platform, tokens: TokenBook) -> None:
        self._platform = platform
        self._tokens = tokens
        self._calls = ThreadPoolExecutor(_CALLS_AT_ONCE, "backbeat-call")
        # a sink may be slow, and a watch is: neither may keep claims waiting
        self._drains = ThreadPoolExecutor(1, "backbeat-drain")
        self._watch = ThreadPoolExecutor(1, "backbeat-watch")
        self._lookout = Lookout(platform.ledger, self._watch)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, Token] | None:
        if conn.url.path == _HEALTH:
            return None
        try:
            found = recognised, self._tokens, conn.headers.get("authorization")
            token = await _in(self._calls, *found)
        except Exception as error:
            raise AuthenticationError from error
        return AuthCredentials(), token

    async def answer(self, request: Request) -> Response:
        token: Token = request.user
        verb: Verb = request.path_params["verb"]
        try:
            body = await _body(request, verb)
            answer = await self._perform(token, verb, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker must hear of it
            return _failed(error)
        return Response(encode_answer(verb, answer), media_type="application/json")

    async def _perform(self, token: Token, verb: Verb, body: bytes) -> Any:
        try:
            if verb not in VERBS:
                raise NotFound(
                    f"the ledger has no verb {verb}", hint=f"its verbs are {', '.join(VERBS)}"
                )
            check_scope(token, verb)
            arguments = decode_call(verb, body)
            if verb == "watch":
                return await self._lookout.changed(min(LONGEST_WATCH, arguments["seconds"]))
            if verb == "drain":
                sinks = self._platform.sinks
                return await _in(self._drains, self._platform.ledger.drain, sinks, **arguments)
            return await _in(self._calls, perform, token, verb, arguments, self._platform.ledger)
        except Refused as refusal:
            await _in(self._calls, self._record, token, verb, refusal)
            raise

    def _record(self, token: Token, verb: Verb, refusal: Refused) -> None:
        fact = AuditFact(
            action=f"ledger.{verb}",
            outcome="refused",
            actor=Actor(id=f"token:{token.id}", method="token"),
            subject={"token": token.id, "scope": token.scope.value},
            facts={"reason": refusal.message},
        )
        self._platform.ledger.append(
            f"token/{token.id}",
            [],
            category="token",
            expected=0,
            state="",
            due=None,
            audit=[fact],
        )


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": backbeat.__version__})


async def _body(request: Request, verb: Verb) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise _TooLargeError(too_large(verb))
    return body


class _TooLargeError(Exception):
    def __init__(self, said: InvalidData) -> None:
        super().__init__()
        self.said = said


async def _in(threads: ThreadPoolExecutor, call: Callable[..., T], *args: Any, **named: Any) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, partial(call, *args, **named))


def _turned_away(_conn: HTTPConnection, error: AuthenticationError) -> Response:
    cause = error.__cause__
    if isinstance(cause, Refused):
        return _said(cause, 401, {"WWW-Authenticate": "Bearer"})
    return _failed(cause or error)


def _no_such_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _said(
        NotFound(f"there is nothing at {request.url.path}", hint=f"POST to {PREFIX}<verb>"), status
    )


def _failed(error: BaseException) -> Response:
    if isinstance(error, _TooLargeError):
        return _said(error.said, 413, {"Connection": "close"})
    if isinstance(error, BackbeatError):
        return _said(error, status_of(error))
    if isinstance(error, (ValueError, TypeError, OverflowError)):
        said = InvalidData(
            f"the ledger cannot keep this ({type(error).__name__})",
            hint="give plain numbers, text, lists and dicts, without NaN or infinities",
        )
        return _said(said, status_of(said))
    # what is not ours may carry other people's words in its message: only the place is logged
    place = "".join(traceback.format_tb(error.__traceback__))
    _log.error("a call failed with %s at\n%s", type(error).__name__, place)
    said_of = Unreachable(
        f"the ledger service failed with {type(error).__name__}",
        hint="look at the service's log",
    )
    return _said(said_of, 500)


def _said(error: BackbeatError, status: int, headers: dict[str, str] | None = None) -> Response:
    after = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:.0f}"}
    sent = {**after, **(headers or {})}
    return Response(encode_error(error), status, sent, media_type="application/json")
