"""A model behind an address, asked one thing at a time as the tests need it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import models
import numpy as np
import pyarrow as pa
from pydantic import SecretStr

from backbeat.inference.address import Endpoint, parse_address
from backbeat.inference.credentials import Credentials
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo, ModelProtocol
from backbeat.inference.protocols import protocol_named
from backbeat.inference.transports import open_transport

__all__ = ["Model", "rows", "scores"]


@dataclass(frozen=True)
class Model:
    """A served model.

    Args:
        address: Its address.
        seconds: How long it may take to answer.
        key: Its server's key; none where empty.
    """

    address: str
    seconds: float = 60
    key: str = field(default="", repr=False)

    @property
    def endpoint(self) -> Endpoint:
        """Its address, parsed and checked."""
        endpoint = parse_address(self.address)
        self.protocol.check(endpoint)
        return endpoint

    @property
    def protocol(self) -> ModelProtocol:
        """What it speaks."""
        return protocol_named(parse_address(self.address).protocol)

    def ready(self) -> bool:
        """Whether it is ready."""
        endpoint, protocol = self.endpoint, self.protocol
        return protocol.read_ready(endpoint, self.send(protocol.ready(endpoint)))

    def describe(self) -> ModelInfo:
        """What its server says about it."""
        endpoint, protocol = self.endpoint, self.protocol
        question = protocol.describe(endpoint)
        if question is None:
            return ModelInfo()
        return protocol.read_description(endpoint, self.send(question))

    def predict(self, asked: pa.RecordBatch, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Its answer to some rows; raises what its protocol makes of a bad one."""
        endpoint, protocol, info = self.endpoint, self.protocol, self.describe()
        request = protocol.encode(endpoint, info, asked, parameters or {})
        response = self.send(request)
        failure = protocol.failure(endpoint, response)
        if failure is not None:
            raise failure
        return protocol.decode(endpoint, info, asked, replace(response, request=request))

    def send(self, request: Request) -> Response:
        """One request over a connection of its own."""

        async def sent() -> Response:
            transport = open_transport(self.endpoint, credentials=self._credentials())
            try:
                return await transport.send(request, seconds=self.seconds)
            finally:
                await transport.aclose()

        return asyncio.run(sent())

    def _credentials(self) -> Credentials | None:
        if not self.key:
            return None
        return Credentials(origin=self.endpoint.origin, bearer=SecretStr(self.key))


def rows(count: int) -> pa.RecordBatch:
    """Rows for the model, the same ones every time."""
    values = np.random.default_rng(7).normal(size=(count, len(models.FEATURES)))
    return pa.record_batch(dict(zip(models.FEATURES, values.T, strict=True)))


def scores(answer: Answer) -> np.ndarray:
    """The scores in an answer: the output of that name, else the first of the first output."""
    outputs = answer.outputs
    at = outputs.schema.get_field_index("score")
    column = outputs.column(max(at, 0))
    while pa.types.is_fixed_size_list(column.type):
        column = pa.array([row[0] for row in column.to_pylist()])
    return column.to_numpy(zero_copy_only=False)
