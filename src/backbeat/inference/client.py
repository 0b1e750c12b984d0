"""One client for every model server: asked with Arrow, answers with Arrow, and behaves well."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from backbeat.errors import Conflict, InvalidStep, Overloaded, RetryableError, Unreachable
from backbeat.inference.address import parse_address
from backbeat.inference.breaker import Breaker
from backbeat.inference.limit import Limit
from backbeat.inference.media import require_media
from backbeat.inference.message import Request, Response
from backbeat.inference.prediction import Prediction, Provenance, input_digest
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols import protocol_named
from backbeat.inference.resilience import Resilience
from backbeat.retries import EndpointBudget, acall, spend_locally
from backbeat.telemetry.calls import call_span, record_call, trace_headers

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.transport import Transport
    from backbeat.ports import Budget
    from backbeat.retries.budget import Spends

__all__ = ["InferenceClient"]

Read = TypeVar("Read")
# who has used up so much of its time has waited in vain
_IN_VAIN = 0.9
_HTTP = frozenset({"http", "https"})
_MANY_BYTES = 2**17
# what Envoy, and so a service mesh, tells a server about the time that is left; gRPC has its own
_DEADLINE = "x-envoy-expected-rq-timeout-ms"


class InferenceClient:
    """Asks one model, wherever it is served; for one event loop, closed by `async with`.

    ::

        async with InferenceClient("oip+http://127.0.0.1:8000/v2/models/churn") as client:
            prediction = await client.predict(rows)

    Args:
        address: See `backbeat.inference.address`.
        resilience: Deadline, retries, limit and breaker.
        transport: Carries the requests; by default what the address asks for, without credentials.
            The client closes it.
        shared: Opens what the workers share (a ledger): retry budget, breaker and caps. This
            process has its own where None.
        version: The version of the model that must answer; any where empty.
        fallback: Asked where this model cannot answer; not where rows are refused.
        before_call: Awaited before each question about rows is sent, retries included; may raise,
            as a cap does.

    Raises:
        InvalidStep: The address cannot be used; a retry will not help.
    """

    def __init__(
        self,
        address: str,
        *,
        resilience: Resilience | None = None,
        transport: Transport | None = None,
        shared: Callable[[], Spends] | None = None,
        version: str = "",
        fallback: InferenceClient | None = None,
        before_call: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.endpoint = parse_address(address)
        self.protocol = protocol_named(self.endpoint.protocol)
        if self.endpoint.transport not in self.protocol.transports:
            raise InvalidStep(
                f"{self.endpoint.protocol} does not go over {self.endpoint.transport}.",
                hint=f"use one of {', '.join(sorted(self.protocol.transports))}",
            )
        self.protocol.check(self.endpoint)
        self.resilience = resilience or Resilience()
        self.fallback = fallback
        self._transport = transport
        self._version = version
        self._before_call = before_call
        spends = shared or _Local
        self._budget = EndpointBudget(self.endpoint.origin, spends)
        self._breaker = Breaker(self.endpoint.origin, self.resilience, spends)
        self._limit = Limit(self.resilience.in_flight)
        self._info: asyncio.Task[ModelInfo] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, the fallback's too."""
        if self._transport is not None:
            await self._transport.aclose()
        if self.fallback is not None:
            await self.fallback.aclose()

    @property
    def breaker(self) -> str:
        """The breaker's state: `closed`, `open` or `half-open`."""
        return self._breaker.state

    @property
    def in_flight(self) -> int:
        """How many requests the server gets at a time, as things are."""
        return self._limit.now

    async def ready(self, *, seconds: float = 5.0) -> bool:
        """Ask once whether the model can answer; False where the server cannot be reached.

        Raises:
            FinalError: The question was refused; a retry will not help.
        """
        question = self.protocol.ready(self.endpoint)
        try:
            response = await self._carrier().send(question, seconds=seconds)
            return self.protocol.read_ready(self.endpoint, response)
        except Unreachable:
            return False

    async def describe(self) -> ModelInfo:
        """What the server says about the model; asked once, and again after a failure."""
        if self._info is not None and self._info.done():
            if not _failed(self._info):
                return self._info.result()
            self._info = None
        if self._info is None:
            self._info = asyncio.get_running_loop().create_task(self._described())
        # whoever gives up waiting does not take the answer from the others
        return await asyncio.shield(self._info)

    async def predict(
        self,
        rows: pa.RecordBatch,
        *,
        parameters: Mapping[str, Any] | None = None,
        request_id: str = "",
        seconds: float | None = None,
    ) -> Prediction:
        """Ask the model about some rows.

        Args:
            rows: At most `protocol.rows_a_request()` of them, where that is not 0.
            parameters: The model's own, such as a temperature.
            request_id: A name for the request, the same for each attempt; made up where empty.
            seconds: The deadline, instead of the policy's.

        Raises:
            ContractBroken: The rows are not what the model takes; nothing was sent.
            InvalidData: The server says so; a retry will not help.
            NotFound: There is no such model.
            Refused: Credentials or certificates are not accepted; they are not tried again.
            Conflict: Another version of the model answered than was asked for.
            InvalidAnswer: The answer is not what the protocol promises.
            Unreachable: No good answer within deadline, attempts and retry budget, or the breaker
                is open; a retry can help later.
        """
        given = dict(parameters or {})
        try:
            return await self._predicted(
                rows, given, request_id or f"{random.getrandbits(128):032x}", seconds
            )
        except RetryableError:
            if self.fallback is None:
                raise
            found = await self.fallback.predict(
                rows, parameters=given, request_id=request_id, seconds=seconds
            )
        origin = replace(found.provenance, instead_of=self.endpoint.address)
        return replace(found, provenance=origin)

    async def _predicted(
        self,
        rows: pa.RecordBatch,
        parameters: dict[str, Any],
        request_id: str,
        seconds: float | None,
    ) -> Prediction:
        began = time.monotonic()
        deadline = seconds or self.resilience.deadline_seconds
        info = await self.describe()
        require_media(rows)
        encoded = self.protocol.encode(self.endpoint, info, rows, parameters)
        attempts = 0

        def read(got: Response) -> Answer:
            answer = Response(
                status=got.status, headers=got.headers, body=got.body, request=encoded
            )
            return self._answer(info, rows, answer)

        async def attempt(left: float) -> Answer:
            nonlocal attempts
            attempts += 1
            headers = {"x-request-id": request_id, **trace_headers(), **encoded.headers}
            if self.endpoint.transport in _HTTP:
                headers[_DEADLINE] = str(int(left * 1000))
            request = Request(
                method=encoded.method, url=encoded.url, headers=headers, body=encoded.body
            )
            return await self._sent(request, read, left)

        # hashing many bytes takes longer than handing them to a thread while the server works
        digesting = (
            input_digest(rows, parameters)
            if sum(map(len, encoded.body)) < _MANY_BYTES
            else asyncio.get_running_loop().run_in_executor(None, input_digest, rows, parameters)
        )
        with call_span(self.endpoint.address, request_id=request_id):
            answer = await self._tried(attempt, seconds=deadline - (time.monotonic() - began))
        version = answer.version or info.version
        if self._version and version and version != self._version:
            raise Conflict(
                f"Version {version} of the model answered, and {self._version} was asked for.",
                hint="name the version in the address, or ask for the one that is served",
            )
        took = time.monotonic() - began
        record_call(self.endpoint.origin, seconds=took, attempts=attempts, usage=answer.usage)
        return Prediction(
            outputs=answer.outputs,
            provenance=Provenance(
                address=self.endpoint.address,
                model=answer.model or info.name,
                version=version,
                server=info.server,
                request_id=request_id,
                server_request_id=answer.request_id,
                input_digest=digesting if isinstance(digesting, str) else await digesting,
                parameters=parameters,
                attempts=attempts,
                seconds=took,
                usage=answer.usage,
            ),
        )

    def _answer(self, info: ModelInfo, rows: pa.RecordBatch, response: Response) -> Answer:
        failure = self.protocol.failure(self.endpoint, response)
        if failure is not None:
            raise failure
        return self.protocol.decode(self.endpoint, info, rows, response)

    async def _described(self) -> ModelInfo:
        question = self.protocol.describe(self.endpoint)
        if question is None:
            return ModelInfo()

        async def attempt(left: float) -> ModelInfo:
            return await self._sent(
                question,
                lambda got: self.protocol.read_description(self.endpoint, got),
                left,
                counted=False,
            )

        return await self._tried(attempt, seconds=self.resilience.deadline_seconds)

    async def _tried(self, attempt: Callable[[float], Awaitable[Read]], *, seconds: float) -> Read:
        policy = self.resilience
        return await acall(
            attempt,
            budget=self._budget,
            deadline_seconds=seconds,
            attempts=policy.attempts,
            base=policy.base_seconds,
            cap=policy.cap_seconds,
        )

    async def _sent(
        self,
        request: Request,
        read: Callable[[Response], Read],
        seconds: float,
        *,
        counted: bool = True,
    ) -> Read:
        """One attempt: past the breaker and the limit, to the server and back."""
        end = time.monotonic() + seconds
        trying = await self._breaker.admit(seconds)
        place, sent, left = None, time.monotonic(), seconds
        too_much, status = False, 0
        try:
            place = await self._limit.enter(end - time.monotonic())
            if counted and self._before_call is not None:
                await self._before_call()
            sent = time.monotonic()
            left = max(0.001, min(end - sent, self.resilience.attempt_seconds or seconds))
            got = await self._carrier().send(request, seconds=left)
            status = got.status
            found = read(got)
        except Unreachable as error:
            # an error that came at once is no sign that there are too many requests
            too_much = isinstance(error, Overloaded) or time.monotonic() - sent >= _IN_VAIN * left
            if trying or self._breaker.counts(error, status):
                await self._breaker.failed(trying=trying)
            raise
        except BaseException:
            if trying:
                self._breaker.abandoned()
            raise
        finally:
            if place is not None:
                self._limit.leave(place, too_much=too_much)
        if trying:
            await self._breaker.recovered()
        self._breaker.succeeded()
        return found

    def _carrier(self) -> Transport:
        if self._transport is None:
            from backbeat.inference.connecting import require_allowed
            from backbeat.inference.transports import open_transport

            require_allowed(self.endpoint)
            self._transport = open_transport(self.endpoint)
        return self._transport


class _Local:
    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        return spend_locally(budget, cost=cost, earned=earned)


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None
