"""Stand-ins for the models of `flights.served`, for whoever has no Triton and no language model.

`python -m flights.stand_in` serves them and says what to set. They keep to the protocols, over real
HTTP, and remember what they were asked; what they answer is made up.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from backbeat.testing.loopback import on_loopback
from flights.served import ASKED

__all__ = ["StandIn", "late", "stand_in"]

_WORDS = {"storm": "weather", "pilots": "crew", "cockpit": "aircraft", "Twenty": "traffic"}


def late(row: list[float]) -> float:
    """What the model of four numbers answers: the later in the day, the more."""
    hour, minute, weekday, miles = row
    return round((hour * 60 + minute) / 1440 + weekday / 1000 + miles / 1e6, 9)


@dataclass
class StandIn:
    """Both models, and what they were asked.

    Args:
        port: Where it listens, on 127.0.0.1.
        key: The bearer that the language model wants; anybody may ask where empty.
        seconds: How long an answer takes.
        rows: The rows of each request to the model of four numbers.
        prompts: What the language model was asked, one a request.
    """

    port: int = 0
    key: str = field(default="", repr=False)
    seconds: float = 0.0
    rows: list[list[list[float]]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)

    @property
    def late_address(self) -> str:
        """The model of four numbers."""
        return f"oip+http://127.0.0.1:{self.port}/v2/models/late?binary=no"

    @property
    def reason_address(self) -> str:
        """The language model."""
        return f"openai+http://127.0.0.1:{self.port}/v1/chat/completions?model=small"

    def application(self) -> web.Application:
        """Both models' routes."""
        app = web.Application(client_max_size=2**24)
        app.router.add_get("/v2/models/late", self._describe)
        app.router.add_get("/v2/models/late/ready", self._ready)
        app.router.add_post("/v2/models/late/infer", self._infer)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _describe(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "name": "late",
                "versions": ["1"],
                "platform": "stand-in",
                "inputs": [{"name": "rows", "datatype": "FP64", "shape": [-1, len(ASKED)]}],
                "outputs": [{"name": "late", "datatype": "FP64", "shape": [-1, 1]}],
            }
        )

    async def _infer(self, request: web.Request) -> web.Response:
        (tensor,) = (await request.json())["inputs"]
        flat, width = tensor["data"], tensor["shape"][1]
        # some clients nest the rows
        if flat and isinstance(flat[0], list):
            flat = [value for row in flat for value in row]
        rows = [flat[at : at + width] for at in range(0, len(flat), width)]
        self.rows.append(rows)
        await asyncio.sleep(self.seconds)
        output = {
            "name": "late",
            "datatype": "FP64",
            "shape": [len(rows), 1],
            "data": [late(row) for row in rows],
        }
        return web.json_response({"model_name": "late", "model_version": "1", "outputs": [output]})

    async def _chat(self, request: web.Request) -> web.Response:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            error = {"message": "Incorrect API key provided", "code": "invalid_api_key"}
            return web.json_response({"error": error}, status=401)
        asked = await request.json()
        prompt = asked["messages"][-1]["content"]
        self.prompts.append(prompt)
        await asyncio.sleep(self.seconds)
        reason = next((to for word, to in _WORDS.items() if word in prompt), "other")
        message = {"role": "assistant", "content": json.dumps({"reason": reason}), "refusal": None}
        return web.json_response(
            {
                "id": f"chatcmpl-{len(self.prompts)}",
                "object": "chat.completion",
                "model": asked["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48},
            }
        )


@contextmanager
def stand_in(*, key: str = "") -> Iterator[StandIn]:
    """Run both in a thread of its own, on a port that is free."""
    served = StandIn(key=key)
    with on_loopback(served.application()) as served.port:
        yield served


def main() -> None:
    """Serve until Ctrl-C."""
    with stand_in(key="stand-in") as served:
        for name, address in (("LATE", served.late_address), ("REASON", served.reason_address)):
            print(f"export FLIGHTS_{name}='{address}' AIRFLOW_VAR_FLIGHTS_{name}='{address}'")
        secret = json.dumps({"bearer": served.key})
        print(f"export BACKBEAT_CREDENTIALS_FLIGHTS_LLM='{secret}'", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
