"""inference.call/v1: a few rows asked of a model, and its answer as a value."""

from __future__ import annotations

import asyncio
import math
from typing import Any, ClassVar

from pydantic import Field, field_validator

from backbeat.errors import InvalidData
from backbeat.inference.serving import Serving, known_address
from backbeat.ports import Need
from backbeat.reference import DataRef
from backbeat.step import Done, Outcome, Step, StepContext

__all__ = ["Infer"]

_MOST_ROWS = 1000


class Infer(Step):
    """Ask a model about a few rows; a retry after a crash gets the recorded answer.

    For a table there is `BatchInference`: what is asked and answered here is kept as a value.

    Args:
        model: Address of a served model, such as `kserve-v1+http://host:8080/v1/models/churn`; or
            `models:/<name>@<alias>` or `models:/<name>/<version>`, loaded in this process.
        rows: 1 to 1000 rows, each an object of one value a column.
        column: Name of the output where the model gives just one.
        serving: How the model is asked; its defaults where None. With `at_least` an answer that is
            not sure enough has the route `review`; `doubtful` is asked about those rows.

    Value: `predictions` (an object a row), `model`, `version`, `request_id`, `seconds`, `attempts`,
    `cost`, `input_digest`.
    """

    kind: ClassVar[str] = "inference.call/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.REGISTRY})

    model: str = Field(min_length=1)
    rows: tuple[dict[str, Any], ...] = Field(min_length=1, max_length=_MOST_ROWS)
    column: str = "score"
    serving: Serving | None = None

    @field_validator("model")
    @classmethod
    def _known_address(cls, model: str) -> str:
        return model if "{{" in model else known_address(model)

    def required(self) -> frozenset[Need]:
        """A registry only where one of the models is in it."""
        return self.needs if any(map(_is_registered, self._models)) else frozenset()

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin a registered model to a version; refuses a model that may not be asked."""
        from backbeat.steps.permitted import require_permitted

        require_permitted(ctx, self._models)
        if _is_registered(self.model):
            return {"model": ctx.registry.resolve(self.model).uri}
        return {}

    @property
    def _models(self) -> tuple[str, ...]:
        serving = self.serving or Serving()
        return tuple(filter(None, (self.model, serving.fallback, serving.doubtful)))

    def perform(self, ctx: StepContext) -> Outcome:
        """Ask once; the client tries again what may be tried again."""
        return asyncio.run(self._asked(ctx))

    async def _asked(self, ctx: StepContext) -> Done:
        from contextlib import AsyncExitStack

        from backbeat.inference.answering import answer_rows
        from backbeat.inference.tally import Tally
        from backbeat.steps.served_scoring import cap_of, client_for

        serving = self.serving or Serving()
        model = ctx.inputs.get("model", self.model)
        cap = cap_of(ctx, serving)
        tally = Tally(serving.prices)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(cap.give_back)

            async def client(address: str | None, **options: Any) -> Any:
                if not address:
                    return None
                if _is_registered(address):
                    options["registry"] = lambda: ctx.registry
                made = client_for(ctx, address, serving, before_call=cap.before_call, **options)
                return await stack.enter_async_context(made)

            table, origin = await answer_rows(
                _batch(self.rows),
                await client(model, fallback=await client(serving.fallback)),
                serving=serving,
                column=self.column,
                request_id=ctx.effect_id("call")[7:39],
                tally=tally,
                settle=cap.settle,
                doubtful=await client(serving.doubtful),
            )
        return Done(
            value={
                "predictions": [_plain(row) for row in table.to_pylist()],
                "model": origin.address,
                "version": origin.version,
                "request_id": origin.request_id,
                "seconds": round(origin.seconds, 6),
                "attempts": origin.attempts,
                "cost": round(tally.cost, 6),
                "input_digest": origin.input_digest,
            },
            metrics={"rows": len(self.rows), "seconds": origin.seconds, **tally.metrics()},
            inputs=(DataRef(uri=origin.address, digest=origin.version, format="model"),),
        )


def _is_registered(address: str) -> bool:
    return address.startswith("models:/")


def _batch(rows: tuple[dict[str, Any], ...]) -> Any:
    import pyarrow as pa

    names = list(rows[0])
    if any(list(row) != names and set(row) != set(names) for row in rows):
        raise InvalidData(
            "The rows have different columns.", hint="give every row the same ones, null where none"
        )
    try:
        return pa.RecordBatch.from_pylist(list(rows))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidData(
            f"The rows make no table: {error}.", hint="give a column values of one type"
        ) from error


def _plain(value: Any) -> Any:
    """A value as JSON, which has no word for NaN and bytes."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        raise InvalidData(
            "The model answers with bytes, which a value cannot hold.",
            hint="score a table by BatchInference: its output is a file",
        )
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)
