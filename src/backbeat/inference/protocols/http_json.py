"""What all protocols of JSON over HTTP have in common: their addresses, and how they fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from backbeat.errors import BackbeatError, InvalidStep
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import ModelInfo
from backbeat.inference.protocols.failures import http_failure
from backbeat.inference.protocols.json_answers import read_json
from backbeat.inference.protocols.json_rows import as_lists, as_records

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ROWS", "HttpJson", "get", "no_parameters", "rows_as"]

ROWS = {"lists": as_lists, "records": as_records}
"""Forms that an address may ask for with `?rows=`."""


class HttpJson:
    """A protocol's verbs as far as they are the same for all; each protocol adds its own.

    Register a protocol of your own as the port `backbeat.inference.protocol.ModelProtocol` says.
    """

    transports = frozenset({"http", "https"})

    path: ClassVar[re.Pattern[str]]
    """What the path of an address is; its groups are what it names."""
    example: ClassVar[str]
    """An address, to learn from."""
    options: ClassVar[frozenset[str]] = frozenset()
    """The options that an address may have."""

    def rows_a_request(self, endpoint: Endpoint) -> int:
        """0: there is no limit."""
        return 0

    def check(self, endpoint: Endpoint) -> None:
        """Raise InvalidStep where an address is not one of this protocol, and say what is."""
        if endpoint.transport not in self.transports:
            raise InvalidStep(
                f"{endpoint.protocol} is not spoken over {endpoint.transport}.",
                hint=f"write {self.example}",
            )
        self.named(endpoint)
        unknown = sorted(endpoint.options.keys() - self.options)
        if unknown:
            known = ", ".join(sorted(self.options)) or "none"
            raise InvalidStep(
                f"Addresses of {endpoint.protocol} have no option {', '.join(unknown)}.",
                hint=f"options are: {known}",
            )
        if endpoint.options.get("rows", "lists") not in ROWS:
            raise InvalidStep(
                f"{endpoint.address!r} asks for rows as {endpoint.options['rows']!r}.",
                hint=f"use one of {', '.join(ROWS)}",
            )

    def named(self, endpoint: Endpoint) -> dict[str, str]:
        """What the path of an address names; raises InvalidStep where it is no such path."""
        found = _groups(self.path, endpoint.path)
        if found is None:
            raise InvalidStep(
                f"{endpoint.path or '/'} is no path of {endpoint.protocol}.",
                hint=f"write {self.example}",
            )
        return found

    def root(self, endpoint: Endpoint) -> str:
        """The URL below which the server's questions are, of a `path` that has a group `root`."""
        return endpoint.origin + self.named(endpoint)["root"]

    def good_json(self, endpoint: Endpoint, response: Response) -> Any:
        """The JSON of a good answer; raises what `failure` gives where it is a bad one."""
        failure = self.failure(endpoint, response)
        if failure is not None:
            raise failure
        return read_json(endpoint, response)

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """Whether it can; raises what `failure` gives where asking was refused."""
        failure = self.failure(endpoint, response)
        if failure is not None and not failure.retryable:
            raise failure
        return failure is None

    def describe(self, endpoint: Endpoint) -> Request | None:
        """None: the protocol has no such question."""
        return None

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """Nothing."""
        return ModelInfo()

    def failure(self, endpoint: Endpoint, response: Response) -> BackbeatError | None:
        """What a bad answer means by its status, None where it is a good one."""
        return http_failure(endpoint, response)


# asked once a request
@lru_cache(maxsize=256)
def _groups(pattern: re.Pattern[str], path: str) -> dict[str, str] | None:
    found = pattern.fullmatch(path)
    return None if found is None else found.groupdict(default="")


def get(url: str) -> Request:
    """A question without a body."""
    return Request(method="GET", url=url, headers={"accept": "application/json"})


def rows_as(
    endpoint: Endpoint, otherwise: Callable[[pa.RecordBatch], list[Any]]
) -> Callable[[pa.RecordBatch], list[Any]]:
    """The form of rows that an address asks for; what is usual for its protocol otherwise."""
    asked = endpoint.options.get("rows")
    return ROWS[asked] if asked else otherwise


def no_parameters(endpoint: Endpoint, parameters: object) -> None:
    """Raise InvalidStep where a protocol has no place for parameters and some are given."""
    if parameters:
        raise InvalidStep(
            f"{endpoint.protocol} has no place for a model's parameters.",
            hint="leave them out, or make them columns",
        )
