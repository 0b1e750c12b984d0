"""PromoteModelOperator: the alias moves to the version that was signed off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import Templated

__all__ = ["PromoteModelOperator"]


class PromoteModelOperator(StepOperator):
    """Point an alias at a version, once, if it still points where the evidence saw it.

    Args:
        model: Registered model's name.
        version: Where the alias is to point.
        expected: The version that the evidence saw behind the alias; None for no alias yet.
        alias: Such as `champion`.
        request_id: The sign-off that must have approved exactly this version; None demands none. A
            template that renders to nothing still demands one, and the promotion is refused.
        in_backfill: Whether a backfill may promote too.

    Output: `model`, `version`, `previous`, `alias`, `changed`, `by`.
    """

    step_kind = "model.promote/v1"
    template_fields: Sequence[str] = (
        "model",
        "version",
        "expected",
        "alias",
        "request_id",
        "in_backfill",
        "backbeat_conn_id",
    )

    def __init__(
        self,
        *,
        model: Templated[str],
        version: Templated[str],
        expected: Templated[str | None] = None,
        alias: Templated[str] = "champion",
        request_id: Templated[str | None] = None,
        in_backfill: Templated[bool] = False,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.version = version
        self.expected = expected
        self.alias = alias
        self.request_id = request_id
        self.in_backfill = in_backfill
        self._demands_signoff = request_id is not None
        super().__init__(**kwargs)

    def step_fields(self) -> dict[str, Any]:
        """The step's fields; a sign-off that was demanded is never rendered away.

        The output of a task that was skipped or marked success renders to None or to its name,
        which would say that none is demanded; the step refuses the empty text.
        """
        found = super().step_fields()
        if self._demands_signoff and str(found.get("request_id")) in {"None", "null"}:
            found["request_id"] = ""
        return found
