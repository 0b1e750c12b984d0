"""`InferenceResource`: one served model, asked from within a user's own assets."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg
from pydantic import Field, PrivateAttr, field_validator

from backbeat.errors import InvalidData, InvalidStep
from backbeat.inference.serving import Serving
from backbeat.ports import Budget
from backbeat.retries import spend_locally
from dagster_backbeat.identity import workflow_run
from dagster_backbeat.pools import endpoint_pool
from dagster_backbeat.predictions import Predictions
from dagster_backbeat.resource import BackbeatResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from backbeat.inference import InferenceClient, Provenance
    from backbeat.inference.cap import Cap
    from backbeat.retries.budget import Spends

__all__ = ["InferenceResource"]

_REQUEST_ROWS = 256
_SECRETS = ("bearer", "user", "password", "header", "value")
# what only a table has that is scored in shards
_OF_TABLES = {"jobs", "max_bad_rows", "request_bytes"}


class InferenceResource(dg.ConfigurableResource):  # type: ignore[misc]
    """A served model; every field that is a text takes an `EnvVar`.

    ::

        @dg.asset(pool=churn.pool)
        def scores(customers: pa.Table, churn: InferenceResource) -> dg.MaterializeResult:
            found = churn.predict(customers)
            ...
            return dg.MaterializeResult(metadata=found.metadata)

    For a table that is scored once, in shards, over any number of crashes, there is
    `inference_asset`: what is asked here is asked again when the asset is run again.

    Args:
        address: The model's, see docs/inference.md.
        serving: The fields of a `backbeat.inference.Serving`. `max_calls` and `max_cost` count over
            one run, its retries included. `request_bytes`, `max_bad_rows` and `jobs` are for tables
            that are scored in shards.
        column: Name of the output where the model gives just one.
        bearer: A token. Give it, as everything secret, as an `EnvVar`: Dagster shows a literal in
            its pages.
        user: Of basic authentication.
        password: The same.
        header: Name of an API key's header.
        value: What is in it.
        backbeat: Whose ledger holds what the workers share: breaker, retry budget and caps; and
            that knows `serving`'s `credentials`. Without one a process has its own.
    """

    address: str = Field(description="The model's address, as docs/inference.md has it.")
    serving: dict[str, Any] = Field(default={}, description="The fields of a Serving.")
    column: str = Field(default="score", description="The output where the model gives just one.")
    bearer: str | None = Field(default=None, description="A token, as an EnvVar.", repr=False)
    user: str | None = Field(default=None, description="Of basic authentication.", repr=False)
    password: str | None = Field(default=None, description="As an EnvVar.", repr=False)
    header: str | None = Field(default=None, description="An API key's header.", repr=False)
    value: str | None = Field(default=None, description="The key, as an EnvVar.", repr=False)
    backbeat: BackbeatResource | None = Field(default=None, description="What workers share.")

    _run: str = PrivateAttr(default_factory=lambda: uuid4().hex)

    @field_validator("serving")
    @classmethod
    def _is_serving(cls, serving: dict[str, Any]) -> dict[str, Any]:
        known = Serving.model_validate(serving)
        strangers = sorted(known.model_fields_set & _OF_TABLES)
        if strangers:
            raise ValueError(f"`{strangers[0]}` is for tables in shards: use `inference_asset`")
        return serving

    @property
    def pool(self) -> str | None:
        """The pool of the model's server, for `@asset(pool=...)`; see `endpoint_pool`.

        None where the address is an `EnvVar` that is not set where the definitions load.
        """
        address = self.address
        return endpoint_pool(
            address.get_value() if isinstance(address, dg.EnvVar) else address, None
        )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Learn which run it is that the caps count over."""
        if context.run is not None and context.instance is not None:
            self._run = f"{context.run.job_name}:{workflow_run(context.run, context.instance)}"

    def client(self) -> InferenceClient:
        """A client of your own, for an asset's event loop; close it, for instance by `async with`.

        Raises:
            InvalidStep: The address cannot be used, a secret would be sent in the clear, or there
                is a `max_cost`, which only `predict` can count.
            UnmetNeed: The credentials are unknown, or not whole.
        """
        if self._asked.max_cost is not None:
            raise InvalidStep(
                "What a client of your own spends is not counted, and there is a max_cost.",
                hint="ask by `predict`, or give the resource max_calls instead",
            )
        return self._client(self.address, self._cap(), self._asked.fallback)

    def predict(self, rows: Any) -> Predictions:
        """Ask about rows: in requests of `request_rows`, at most `resilience.in_flight` at a time.

        Args:
            rows: An Arrow table or record batch, a frame of pandas, or of what else speaks Arrow's
                C stream, or a list of objects with the same names.

        Returns:
            A row for each row, in the same order.

        Raises:
            InvalidData: The rows make no table, or the model refuses them; a retry will not help.
            BudgetSpent: `max_calls` or `max_cost` is reached, or would be.
            BackbeatError: See `InferenceClient.predict`; each says whether a retry can help. What
                was answered before it is lost.
        """
        return asyncio.run(self._predicted(_table(rows)))

    @property
    def _asked(self) -> Serving:
        return Serving.model_validate(self.serving)

    async def _predicted(self, table: pa.Table) -> Predictions:
        import pyarrow as pa

        from backbeat.inference.answering import answer_rows
        from backbeat.inference.tally import Tally
        from backbeat.steps.served_scoring import within

        serving, cap = self._asked, self._cap()
        tally = Tally(serving.prices)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(cap.give_back)
            client = self._client(self.address, cap, serving.fallback)
            await stack.enter_async_context(client)
            doubtful = None
            if serving.doubtful:
                doubtful = self._client(serving.doubtful, cap)
                await stack.enter_async_context(doubtful)
            size = await _request_rows(client, serving)
            batches = table.combine_chunks().to_batches(max_chunksize=size)
            within(serving, len(batches))
            places = asyncio.Semaphore(serving.resilience.in_flight)

            async def one(batch: pa.RecordBatch) -> tuple[pa.Table, Provenance]:
                async with places:
                    return await answer_rows(
                        batch,
                        client,
                        serving=serving,
                        column=self.column,
                        request_id=uuid4().hex,
                        tally=tally,
                        settle=cap.settle,
                        doubtful=doubtful,
                    )

            found = await _together([one(batch) for batch in batches])
        tables = [answers for answers, _ in found] or [pa.table({})]
        return Predictions(
            table=pa.concat_tables(tables, promote_options="permissive"),
            provenance=[origin for _, origin in found],
            calls=tally.calls,
            cost=tally.cost,
        )

    def _client(self, address: str, cap: Cap, fallback: str | None = None) -> InferenceClient:
        from backbeat.inference import connect

        return connect(
            address,
            secrets=self._secrets(),
            resilience=self._asked.resilience,
            shared=self._shared,
            fallback=self._client(fallback, cap) if fallback else None,
            before_call=cap.before_call,
        )

    def _secrets(self) -> Mapping[str, str]:
        from backbeat.wiring.credentials import credentials_from_environment

        given = {name: getattr(self, name) for name in _SECRETS if getattr(self, name)}
        name = self._asked.credentials
        if given or not name:
            return given
        known = (
            self.backbeat.platform.credentials if self.backbeat else credentials_from_environment
        )
        return known(name)

    def _cap(self) -> Cap:
        from backbeat.inference.cap import Cap

        serving = self._asked
        return Cap(
            f"dagster:{self._run}:{self.address}",
            self._shared,
            max_calls=serving.max_calls,
            max_cost=serving.max_cost,
        )

    def _shared(self) -> Spends:
        return self.backbeat.platform.ledger if self.backbeat else _InProcess()


class _InProcess:
    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        return spend_locally(budget, cost=cost, earned=earned)


async def _request_rows(client: InferenceClient, serving: Serving) -> int:
    size = serving.request_rows or (await client.describe()).preferred_rows or _REQUEST_ROWS
    limit = client.protocol.rows_a_request(client.endpoint)
    return min(size, limit) if limit else size


async def _together(calls: list[Any]) -> list[Any]:
    """All answers in order; where one call fails, the others are ended with it."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _table(rows: Any) -> pa.Table:
    import pyarrow as pa

    pandas = sys.modules.get("pandas")
    try:
        if isinstance(rows, list):
            if any(set(row) != set(rows[0]) for row in rows):
                raise TypeError("they have different columns")  # noqa: TRY301
            return pa.Table.from_pylist(rows)
        if pandas is not None and isinstance(rows, pandas.DataFrame):
            # an index is no feature
            return pa.Table.from_pandas(rows, preserve_index=False)
        return pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else pa.table(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, AttributeError) as error:
        raise InvalidData(
            f"The rows make no table: {error}.",
            hint="give an Arrow table, a frame, or a list of objects, each column of one type",
        ) from error
