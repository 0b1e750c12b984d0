"""One pool a model server, whoever asks it: what an instance's limits are set on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dagster as dg

from backbeat.errors import InvalidStep

if TYPE_CHECKING:
    from backbeat.inference.address import Endpoint

__all__ = ["endpoint_pool"]


def endpoint_pool(model: Any, pool: str | None = None) -> str | None:
    """The pool of whoever asks a model, such as `backbeat/churn_example_com_8000`.

    It is named for host and port alone, so that all models of a server share it, by whatever
    protocol they are asked. Nobody is held up before the instance has a limit for it.

    Args:
        model: The address of a served model, or of one that takes jobs. What is loaded in
            process has no pool, and neither has what only the run will know.
        pool: A name instead; empty for none.

    Raises:
        DagsterInvalidDefinitionError: It looks like an address, and is none.
    """
    if pool is not None:
        return pool or None
    # without an authority it is in this process: models:/churn@champion, file:///srv/churn
    if not isinstance(model, str) or "{{" in model or not urlsplit(model).netloc:
        return None
    endpoint = _endpoint(model)
    # file://localhost/srv/churn
    if endpoint.port == 0:
        return None
    return f"backbeat/{re.sub('[^A-Za-z0-9-]', '_', endpoint.authority)}"


def _endpoint(address: str) -> Endpoint:
    from backbeat.inference.address import parse_address
    from backbeat.inference.jobs.servers import is_job_address, parse_job_address

    try:
        return parse_job_address(address) if is_job_address(address) else parse_address(address)
    except InvalidStep as error:
        raise dg.DagsterInvalidDefinitionError(f"{error.message} {error.hint}") from error
