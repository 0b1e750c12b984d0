"""Requests to a job server: tried again within the endpoint's budget, large answers to a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, TYPE_CHECKING, TypeVar

from backbeat.errors import BackbeatError, Unreachable
from backbeat.inference.address import Endpoint
from backbeat.inference.connecting import carrier
from backbeat.inference.http_transport import HttpTransport
from backbeat.inference.message import Request, Response
from backbeat.inference.resilience import Resilience
from backbeat.retries import EndpointBudget, acall, spend_locally
from backbeat.telemetry.calls import trace_headers

if TYPE_CHECKING:
    from backbeat.inference.credentials import Credentials
    from backbeat.inference.tls import Tls
    from backbeat.ports import Budget
    from backbeat.retries.budget import Spends

__all__ = ["Calls"]

Read = TypeVar("Read")
_AN_HOUR = 3600.0
_BYTES_A_SECOND = 2**20
_GOOD = range(200, 300)


class Calls:
    """Sends requests to one job server over HTTP.

    Args:
        endpoint: The server's.
        failure: What a bad answer means; None of a good one.
        secrets: Who we are.
        resilience: Deadline and retries.
        shared: What the workers share; this process has its own where None.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        failure: Callable[[Response], BackbeatError | None],
        secrets: Mapping[str, str],
        resilience: Resilience | None = None,
        shared: Callable[[], Spends] | None = None,
    ) -> None:
        self._transport = carrier(endpoint, secrets, _transport)
        self._failure = failure
        self._policy = resilience or Resilience()
        self._budget = EndpointBudget(endpoint.origin, shared or _Local)

    async def ask(
        self, request: Request, read: Callable[[Response], Read], *, size: int = 0
    ) -> Read:
        """Ask, and again where that can help; for requests that are safe to repeat.

        Args:
            request: What is sent.
            read: Reads a good answer.
            size: Bytes that are sent, which get time beside the deadline.
        """

        async def attempt(left: float) -> Read:
            return read(await self.once(request, seconds=left))

        return await self.tried(attempt, seconds=size / _BYTES_A_SECOND)

    async def once(self, request: Request, *, seconds: float) -> Response:
        """Ask once; raises what a bad answer means."""
        headers = {**trace_headers(), **request.headers}
        asked = Request(method=request.method, url=request.url, headers=headers, body=request.body)
        return self._good(await self._transport.send(asked, seconds=seconds))

    async def tried(
        self, attempt: Callable[[float], Awaitable[Read]], *, seconds: float = 0.0
    ) -> Read:
        """Try an attempt of the caller's own, with so many seconds beside the deadline."""
        policy = self._policy
        return await acall(
            attempt,
            budget=self._budget,
            deadline_seconds=policy.deadline_seconds + seconds,
            attempts=policy.attempts,
            base=policy.base_seconds,
            cap=policy.cap_seconds,
        )

    async def save(self, request: Request, file: IO[bytes]) -> None:
        """Write an answer of any size into a file; a cut one is fetched again."""

        async def attempt(_left: float) -> None:
            file.seek(0)
            file.truncate()
            stalled = self._policy.deadline_seconds
            self._good(await self._transport.save(request, file, seconds=stalled))

        await self.tried(attempt, seconds=_AN_HOUR)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _good(self, response: Response) -> Response:
        failure = self._failure(response)
        if failure is not None:
            raise failure
        return response


class _FileTransport(HttpTransport):
    """Also brings an answer into a file."""

    async def save(self, request: Request, file: IO[bytes], *, seconds: float) -> Response:
        """Like `send`, but a good answer's body goes into a file.

        Args:
            request: What is sent.
            file: Written from where it stands.
            seconds: Without a byte.
        """
        session = self._session or self._open(secure=request.url.startswith("https:"))
        import aiohttp

        secret = await self._credentials.headers(request.url, session) if self._credentials else {}
        origin = request.url.partition("://")[2].partition("/")[0]
        try:
            async with (
                asyncio.timeout(seconds) as stalled,
                session.request(
                    request.method,
                    request.url,
                    headers={**request.headers, **secret},
                    allow_redirects=False,
                ) as answer,
            ):
                good = answer.status in _GOOD
                told = b""
                async for chunk in answer.content.iter_any():
                    if good:
                        file.write(chunk)
                    elif len(told) < _BYTES_A_SECOND:
                        told += chunk
                    stalled.reschedule(asyncio.get_running_loop().time() + seconds)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(status=answer.status, headers=headers, body=told)
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            kind = type(error).__name__
        # the library's own errors show URLs and headers, where secrets may be
        raise Unreachable(
            f"{origin} did not send a file to its end ({kind}).",
            hint="look at the server, and at what stands between it and here",
        )


def _transport(
    _endpoint: Endpoint, *, tls: Tls | None, credentials: Credentials | None
) -> _FileTransport:
    return _FileTransport(tls=tls, credentials=credentials)


class _Local:
    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        return spend_locally(budget, cost=cost, earned=earned)
