"""The job servers that are known, by the name that an address begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from backbeat.errors import InvalidStep
from backbeat.inference.address import Endpoint, parse_address

if TYPE_CHECKING:
    from backbeat.inference.jobs.server import JobServer
    from backbeat.inference.resilience import Resilience
    from backbeat.retries.budget import Spends

__all__ = ["GROUP", "is_job_address", "job_server", "known_job_servers", "parse_job_address"]

GROUP = "backbeat.jobs"

_SHIPPED = {"openai-batch": "backbeat.inference.jobs.openai_batch:OpenAIBatch"}


def known_job_servers() -> list[str]:
    """Names of all job servers, those of installed packages too."""
    return sorted({*_SHIPPED, *_registered()})


def is_job_address(address: str) -> bool:
    """Whether an address names a server of jobs, and not one that answers at once."""
    return address.partition("+")[0] in known_job_servers()


def parse_job_address(address: str) -> Endpoint:
    """Read an address of a server of jobs; raises InvalidStep where it is none."""
    endpoint = parse_address(address, known=known_job_servers())
    if endpoint.protocol in _SHIPPED:
        _made(endpoint.protocol).check(endpoint)
    return endpoint


def job_server(
    address: str,
    *,
    secrets: Mapping[str, str] | None = None,
    resilience: Resilience | None = None,
    shared: Callable[[], Spends] | None = None,
) -> JobServer:
    """A job server for an address; it connects when it is first asked.

    Args:
        address: See `backbeat.inference.address`.
        secrets: Who we are; see `backbeat.inference.connect`.
        resilience: Deadline and retries of each request; its breaker and limit are not used.
        shared: What the workers share.

    Raises:
        InvalidStep: The address cannot be used, or a secret would be sent in the clear.
        UnmetNeed: The credentials say something unknown, or not enough.
    """
    endpoint = parse_job_address(address)
    made: JobServer = _made(endpoint.protocol)(
        endpoint, secrets=secrets or {}, resilience=resilience, shared=shared
    )
    return made


@cache
def _made(name: str) -> Any:
    if name in _SHIPPED:
        module, _, member = _SHIPPED[name].partition(":")
        return getattr(import_module(module), member)
    found = _registered()[name]
    try:
        return found.load()
    except Exception as error:
        raise InvalidStep(
            f"The job server {name!r} is registered as {found.value} and does not load: {error}.",
            hint="repair or remove the package that registers it",
        ) from error


@cache
def _registered() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=GROUP)}
