"""`infer_op`: a few rows asked of a served model, as an op of a user's own job."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

from collections.abc import Mapping
from typing import Any

import dagster as dg

from backbeat.inference.serving import Serving, known_address
from backbeat.step import Done
from backbeat.steps import Infer
from dagster_backbeat.outcome import StepRun, dagster_errors
from dagster_backbeat.pools import endpoint_pool

__all__ = ["infer_op"]


def infer_op(
    *,
    name: str,
    model: str,
    column: str = "score",
    serving: Serving | Mapping[str, Any] | None = None,
    resource_key: str = "backbeat",
    pool: str | None = None,
) -> dg.OpDefinition:
    """An op from `rows`, a list of objects, to the model's predictions, an object a row.

    Args:
        name: The op's name.
        model: Address of a served model; see `Infer`, as the fields below.
        column: Name of the output where the model gives just one.
        serving: How the model is asked.
        resource_key: The `BackbeatResource` to run on.
        pool: The pool that it waits in; that of the model's server, `backbeat/<host>_<port>`, where
            None; empty for none.

    Raises:
        DagsterInvalidDefinitionError: It is no address of a served model.
    """
    try:
        known_address(model)
    except ValueError as error:
        raise dg.DagsterInvalidDefinitionError(str(error)) from error

    @dg.op(  # type: ignore[untyped-decorator]
        name=name,
        ins={"rows": dg.In(list)},
        out=dg.Out(list),
        required_resource_keys={resource_key},
        pool=endpoint_pool(model, pool),
        tags={"dagster/compute_kind": "backbeat"},
    )
    def compute(context: dg.OpExecutionContext, rows: list) -> dg.Output:  # type: ignore[type-arg]
        run = StepRun(context, name, resource_key)
        fields = {"model": model, "rows": rows, "column": column, "serving": serving}
        with dagster_errors(run):
            outcome = run.perform(Infer, fields)
        assert isinstance(outcome, Done)  # noqa: S101 - asking waits for nobody
        shown = {key: item for key, item in outcome.value.items() if key != "predictions"}
        return dg.Output(outcome.value["predictions"], metadata=shown)

    found: dg.OpDefinition = compute
    return found
