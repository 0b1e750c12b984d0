"""`infer_op`: a few rows asked of a served model, as an op of a user's own job."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

from collections.abc import Mapping
from typing import Any

import dagster as dg

from backbeat.inference.serving import Serving, known_address
from backbeat.step import Done
from backbeat.steps import Infer
from dagster_backbeat.outcome import StepRun, dagster_errors

__all__ = ["infer_op"]


def infer_op(
    *,
    name: str,
    model: str,
    column: str = "score",
    serving: Serving | Mapping[str, Any] | None = None,
    resource_key: str = "backbeat",
) -> dg.OpDefinition:
    """An op from `rows`, a list of objects, to the model's predictions, an object a row.

    Ops of one model share the pool `backbeat/<host>:<port>`, so that an instance can limit them.

    Args:
        name: The op's name.
        model: Address of a served model; see `Infer`, as the fields below.
        column: Name of the output where the model gives just one.
        serving: How the model is asked.
        resource_key: The `BackbeatResource` to run on.

    Raises:
        DagsterInvalidDefinitionError: It is no address of a served model.
    """
    from backbeat.inference.address import parse_address

    try:
        endpoint = parse_address(known_address(model))
    except ValueError as error:
        raise dg.DagsterInvalidDefinitionError(str(error)) from error

    @dg.op(  # type: ignore[untyped-decorator]
        name=name,
        ins={"rows": dg.In(list)},
        out=dg.Out(list),
        required_resource_keys={resource_key},
        pool=f"backbeat/{endpoint.authority.replace(':', '_').replace('.', '_')}",
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
