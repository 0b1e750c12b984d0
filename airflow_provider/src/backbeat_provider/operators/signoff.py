"""SignoffOperator: people decide, and no worker slot is held meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from backbeat.signoff.evidence import Evidence
from backbeat.signoff.form import Form
from backbeat.signoff.rules import Rules
from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import Templated

__all__ = ["SignoffOperator"]


class SignoffOperator(StepOperator):
    """Ask people to approve exactly this evidence; a rejection fails the task.

    The task is deferred: it costs a line in the triggerer until the votes, or the deadline, decide.

    Args:
        subject: One line for people.
        about: What is approved, e.g. `{"model": "flights", "version": "3"}`.
        evidence: What is shown; every vote is bound to its digest. Another operator's `output`
            shows what that step has found.
        approvers: Ids that may vote; empty means anybody who is known.
        quorum: Approvals of distinct people that it takes; one rejection rejects.
        four_eyes: Whether the requester's own vote is refused; on by default when the quorum is 2
            or more.
        deadline: After how long the default decides: a timedelta, or ISO 8601 (`PT12H`).
        default: What the deadline decides.
        rules: Stages, veto, reminders, escalation and more (`backbeat.signoff.Rules`), in the place
            of approvers, quorum, four_eyes and default.
        shown: Facts, links, tables and pictures beside the evidence (`backbeat.signoff.Evidence`).
        form: What a voter fills in (`backbeat.signoff.Form`).

    Output: `request_id`, `decision`, `by`, `evidence_digest`, and what it is `about`.
    """

    step_kind = "signoff.request/v1"
    template_fields: Sequence[str] = (
        "subject",
        "about",
        "evidence",
        "approvers",
        "quorum",
        "four_eyes",
        "deadline",
        "default",
        "rules",
        "shown",
        "form",
        "backbeat_conn_id",
    )
    template_fields_renderers = dict.fromkeys(
        ("about", "evidence", "rules", "shown", "form"), "json"
    )

    def __init__(
        self,
        *,
        subject: Templated[str],
        about: Templated[Mapping[str, Any] | None] = None,
        evidence: Templated[Mapping[str, Any] | None] = None,
        approvers: Templated[Sequence[str]] = (),
        quorum: Templated[int] = 2,
        four_eyes: Templated[bool | None] = None,
        deadline: Templated[timedelta] = timedelta(days=3),
        default: Templated[Literal["approve", "reject"]] = "reject",
        rules: Templated[Rules | None] = None,
        shown: Templated[Evidence | None] = None,
        form: Templated[Form | None] = None,
        **kwargs: Any,
    ) -> None:
        self.subject = subject
        self.about = about
        self.evidence = evidence
        self.approvers = approvers
        self.quorum = quorum
        self.four_eyes = four_eyes
        self.deadline = deadline
        self.default = default
        self.rules = rules
        self.shown = shown
        self.form = form
        super().__init__(**kwargs)
