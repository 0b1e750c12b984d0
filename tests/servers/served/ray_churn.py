"""The model as a Ray Serve application that runs until it is ended: python ray_churn.py PORT."""

from __future__ import annotations

import signal
import sys
from typing import Any

import models
import numpy as np
import ray
from ray import serve
from ray._private import ray_constants
from starlette.requests import Request
from starlette.responses import JSONResponse


@serve.deployment
class Churn:
    async def __call__(self, request: Request) -> Any:
        """A list of records in, a list of records out; what it does not take is a 400."""
        try:
            rows = [[record[name] for name in models.FEATURES] for record in await request.json()]
            scores = models.score(np.array(rows, dtype=np.float64))
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"bad rows: {error}"}, status_code=400)
        labels = models.label(scores)
        return [
            {"score": score, "label": label}
            for score, label in zip(scores.tolist(), labels.tolist(), strict=True)
        ]


if __name__ == "__main__":
    # what Ray does by itself on a laptop's systems: all of its parts on the loopback address
    ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(num_cpus=2, include_dashboard=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Churn.bind(), name=models.NAME, route_prefix="/churn")
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    serve.shutdown()
    ray.shutdown()
