"""Models that others serve: where they are and how they are asked; importing this costs nothing."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ASKED",
    "CAPS",
    "LATE",
    "LATE_SERVING",
    "REASON",
    "REASONS",
    "REASON_PRICES",
    "REMARKS",
    "reason_serving",
]

# Any model of the Open Inference Protocol that takes four numbers a row. `host.docker.internal`, a
# service's name, `oip+grpc://…`: the variable `flights_late` (Airflow), FLIGHTS_LATE (Dagster).
LATE = "oip+http://127.0.0.1:8000/v2/models/late"
ASKED = ("departure_hour", "departure_minute", "weekday", "distance_miles")
# A request is what a crash can cost: at most four of them are under way.
LATE_SERVING: dict[str, Any] = {"request_rows": 20, "resilience": {"in_flight": 4}}

# Any server of OpenAI's API. The variable `flights_reason` and the connection `flights_llm`
# (Airflow), FLIGHTS_REASON and BACKBEAT_CREDENTIALS_FLIGHTS_LLM (Dagster).
REASON = "openai+http://127.0.0.1:4000/v1/chat/completions?model=small"
REMARKS = "landing/remarks/{day}.parquet"
REASONS = ("weather", "crew", "aircraft", "traffic", "other")
# in dollars; yours are on your provider's page
REASON_PRICES = {"a_million_input_tokens": 150.0, "a_million_output_tokens": 600.0}
CAPS: dict[str, Any] = {"max_calls": 100, "max_cost": 1.0}

_SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string", "enum": list(REASONS)}},
    "required": ["reason"],
    "additionalProperties": False,
}


def reason_serving(**caps: Any) -> dict[str, Any]:
    """How the language model is asked: one reason a remark, always the same, under a cap.

    Args:
        **caps: `max_calls` and `max_cost`, numbers or templates; those of `CAPS` where not given.
    """
    return {
        "parameters": {"schema": _SCHEMA, "temperature": 0, "seed": 2013, "max_tokens": 20},
        "credentials": "flights_llm",
        "prices": REASON_PRICES,
        "resilience": {"in_flight": 2},
        **CAPS,
        **caps,
    }
