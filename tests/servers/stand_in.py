"""A transport that is just enough for these tests, until `backbeat.inference.http_transport` is."""

from __future__ import annotations

import asyncio

import aiohttp

from backbeat.errors import InvalidAnswer, Unreachable
from backbeat.inference.message import Request, Response

_LARGEST = 2**26


class HttpTransport:
    async def send(self, request: Request, *, seconds: float) -> Response:
        """One request over a connection of its own."""
        try:
            async with (
                asyncio.timeout(seconds),
                aiohttp.ClientSession(read_bufsize=_LARGEST) as session,
                session.request(
                    request.method,
                    request.url,
                    data=b"".join(request.body) or None,
                    headers=request.headers,
                    allow_redirects=False,
                ) as answer,
            ):
                if (answer.content_length or 0) > _LARGEST:
                    raise InvalidAnswer("too large")
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(status=answer.status, headers=headers, body=await answer.read())
        except aiohttp.ClientResponseError as error:
            raise InvalidAnswer(str(error)) from error
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(str(error)) from error

    async def aclose(self) -> None:
        """Nothing is kept open."""
