"""What passengers write about a day's flights, and what asking a language model about it costs."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from backbeat.inference import Prices
from backbeat.ports import Store
from flights.served import REASON_PRICES, REMARKS

__all__ = ["forecast", "land_remarks"]

_SYSTEM = "Why was the flight late? Answer with one of the reasons that the schema allows."
_TEXTS = (
    "We sat at the gate for an hour because of a thunderstorm over the field.",
    "They told us that the pilots were still on their way from another flight.",
    "A light in the cockpit did not go out, so they changed the plane.",
    "Twenty planes were in front of us before we could take off.",
    "Nobody told us anything, and the coffee was cold.",
)
# about four letters a token, and a short object as the answer
_LETTERS_A_TOKEN, _ANSWER_TOKENS = 4, 8


def land_remarks(store: Store, day: date, count: int = 40) -> str:
    """Land a day's remarks.

    Args:
        store: The platform's store.
        day: The day.
        count: How many.

    Returns:
        The key that was written: columns `remark_id`, `system` and `prompt`, all of them text.
    """
    numbers = range(count)
    table = pa.table(
        {
            "remark_id": [f"{day:%Y%m%d}-{number:03}" for number in numbers],
            "system": [_SYSTEM] * count,
            "prompt": [f"{_TEXTS[number % len(_TEXTS)]} (remark {number})" for number in numbers],
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    key = REMARKS.format(day=day.isoformat())
    store.write(key, bytes(sink.getvalue()))
    return key


def forecast(store: Store, day: date | str) -> dict[str, float]:
    """What a day's remarks will take, before one of them is sent: `calls`, and `cost` at a guess.

    Raises:
        NotFound: The day has not landed.
    """
    table = pq.read_table(pa.BufferReader(store.read(REMARKS.format(day=day))))
    letters = sum(map(len, table["system"].to_pylist() + table["prompt"].to_pylist()))
    usage = {
        "input_tokens": letters // _LETTERS_A_TOKEN,
        "output_tokens": _ANSWER_TOKENS * len(table),
    }
    cost = Prices(**REASON_PRICES).cost(calls=len(table), seconds=0.0, usage=usage)
    return {"calls": len(table), "cost": round(cost, 4)}
