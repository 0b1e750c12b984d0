"""BatchInferenceOperator: every row scored exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

try:
    from airflow.providers.common.compat.sdk import conf
except ImportError:  # its versions that Airflow 3.1 was released with
    from airflow.configuration import conf

from backbeat.inference.serving import Serving
from backbeat.kinds import step_class, step_from_fields, step_from_json
from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

if TYPE_CHECKING:
    from backbeat.platform import Platform
    from backbeat.step import Outcome, Step, Waiting

__all__ = ["BatchInferenceOperator"]


class BatchInferenceOperator(StepOperator):
    """Score a table in shards; a retry scores only the shards that are missing.

    Args:
        model: `models:/<name>@<alias>` or `models:/<name>/<version>`; or the address of a served
            model, such as `kserve-v1+http://host:8080/v1/models/churn`; or of one that takes jobs,
            such as `openai-batch+https://host/v1/batches?model=small`.
        data: What to score: a URI, or the fields of a `Dataset`.
        output_key: Store prefix of the scores.
        key: Columns that identify a row; copied to the output.
        features: Columns that the model gets; all but the key where None.
        column: Name of the score's column.
        shard_rows: Rows of a shard: what one crash can cost.
        output_contract: Store key or path of the data contract that the scores must keep.
        serving: How a served model is asked (`backbeat.inference.Serving`).
        delta: Store key, path or URI of a Delta table that gets the scores too.
        deferrable: Wait for jobs in the triggerer, without a worker slot; other models are asked
            as ever. Airflow's `[operators] default_deferrable` where it is not given.

    A task that is killed (marked, cleared, out of time) cancels its jobs, whether it was deferred
    or not. One whose worker is gone does not: the retry finds them.

    Output: `output`, `rows`, `shards`, `reused`, `digest`, `model`, `version`; with a served model
    also `bad`, `calls`, `cost`, `repeated`; with jobs `jobs` in the place of `repeated`.
    """

    step_kind = "inference.batch/v1"
    template_fields: Sequence[str] = (
        "model",
        "data",
        "output_key",
        "key",
        "features",
        "column",
        "shard_rows",
        "output_contract",
        "serving",
        "delta",
        "backbeat_conn_id",
    )
    template_fields_renderers = {"data": "json", "features": "json", "serving": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        model: Templated[str],
        data: Templated[DatasetFields],
        output_key: Templated[str],
        key: Templated[Sequence[str]],
        features: Templated[Sequence[str] | None] = None,
        column: Templated[str] = "score",
        shard_rows: Templated[int] = 10_000,
        output_contract: Templated[str | None] = None,
        serving: Templated[Serving | None] = None,
        delta: Templated[str | None] = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.data = data
        self.output_key = output_key
        self.key = key
        self.features = features
        self.column = column
        self.shard_rows = shard_rows
        self.output_contract = output_contract
        self.serving = serving
        self.delta = delta
        self.deferrable = deferrable
        self._step: Step | None = None
        self._waited_for: list[str] = []
        self._performing = False
        super().__init__(**kwargs)

    def execute(self, context: Any) -> dict[str, Any]:
        """Score, or wait for the jobs that do; see `StepOperator`."""

        def step() -> Step:
            return step_from_fields(step_class(self.step_kind), self.step_fields())

        return self._performed(step, context, waited_for=() if self.deferrable else None)

    def resume_jobs(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:
        """Collect what the jobs have answered, and wait for the next ones where there are more.

        Args:
            context: The task's context.
            event: What the trigger handed on: the `step` as it was submitted, and the jobs that
                were `waited_for`.
        """

        def step() -> Step:
            return step_from_json(event["step"])

        return self._performed(step, context, waited_for=event["waited_for"])

    def on_kill(self) -> None:
        """End the work, so that its remote jobs are cancelled; called by Airflow on SIGTERM."""
        # after a time-out Airflow calls this once more, when all that is done
        if self._performing:
            self._performing = False
            raise SystemExit("the task was killed")

    def _performed(
        self, step: Callable[[], Step], context: Any, *, waited_for: Collection[str] | None
    ) -> dict[str, Any]:
        def perform(platform: Platform) -> Outcome:
            from backbeat.runner import run_step
            from backbeat_provider.identity import run_identity

            self._step = step()
            self._waited_for = list(waited_for or ())
            return run_step(self._step, run_identity(context), platform, waited_for=waited_for)

        self._performing = True
        try:
            return self._translated(perform, context)
        finally:
            self._performing = False

    def _wait(self, outcome: Waiting) -> None:
        from backbeat_provider.triggers.job import JobTrigger

        assert self._step is not None  # noqa: S101 - it has just been performed
        step = self._step.to_json()
        serving = Serving.model_validate(step.get("serving", {}))
        ids = [job.id for job in outcome.jobs]
        self.log.info("waiting for the remote jobs %s", ", ".join(ids))
        self.defer(
            trigger=JobTrigger(
                jobs=[job.model_dump(mode="json") for job in outcome.jobs],
                step=step,
                waited_for=sorted({*self._waited_for, *ids}),
                backbeat_conn_id=self.backbeat_conn_id,
                poll_interval=serving.jobs.poll_seconds,
            ),
            method_name=self.resume_jobs.__name__,
        )
