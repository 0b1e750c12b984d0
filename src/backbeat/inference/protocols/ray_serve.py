"""Ray Serve: an application at a route, which takes the rows as a JSON list.

    ray-serve+http://host:8000/churn
    ray-serve+http://host:8000/churn/predict?rows=lists

https://docs.ray.io/en/latest/serve/http-guide.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.errors import NotFound
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols.http_json import HttpJson, get, no_parameters, rows_as
from backbeat.inference.protocols.json_answers import as_outputs, read_json
from backbeat.inference.protocols.json_rows import as_records, json_request

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RayServe"]


class RayServe(HttpJson):
    """Ray Serve over HTTP."""

    path = re.compile(r".*")
    example = "ray-serve+http://<host>:8000/<route>"
    options = frozenset({"rows"})

    def ready(self, endpoint: Endpoint) -> Request:
        """Ask for the routes, which a proxy tells only while `/-/healthz` is well too."""
        return get(f"{endpoint.origin}/-/routes")

    def read_ready(self, endpoint: Endpoint, response: Response) -> bool:
        """Whether an application is at the address's route; raises NotFound where none is."""
        if not super().read_ready(endpoint, response):
            return False
        self._application(endpoint, read_json(endpoint, response))
        return True

    def describe(self, endpoint: Endpoint) -> Request | None:
        """Ask for the routes: they say which application answers."""
        return self.ready(endpoint)

    def read_description(self, endpoint: Endpoint, response: Response) -> ModelInfo:
        """The application's name."""
        return ModelInfo(name=self._application(endpoint, self.good_json(endpoint, response)))

    def encode(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        rows: pa.RecordBatch,
        parameters: Mapping[str, Any],
    ) -> Request:
        """Rows as a JSON list."""
        no_parameters(endpoint, parameters)
        value = rows_as(endpoint, as_records)(rows)
        return json_request(endpoint.url if endpoint.path else f"{endpoint.origin}/", value, rows)

    def decode(
        self, endpoint: Endpoint, info: ModelInfo, rows: pa.RecordBatch, response: Response
    ) -> Answer:
        """What the application returned as rows."""
        return Answer(
            outputs=as_outputs(endpoint, read_json(endpoint, response), rows.num_rows),
            model=info.name,
            request_id=response.headers.get("x-request-id", ""),
        )

    def _application(self, endpoint: Endpoint, routes: Any) -> str:
        path = f"{endpoint.path}/"
        # a route answers for all that is below it; the longest one wins
        found = [
            route
            for route in (routes if isinstance(routes, Mapping) else {})
            if path.startswith(f"{route.rstrip('/')}/")
        ]
        if not found:
            raise NotFound(
                f"{endpoint.authority} has no application at {endpoint.path or '/'}.",
                hint=f"its routes are: {', '.join(sorted(routes)) or 'none'}",
            )
        return str(routes[max(found, key=len)])
