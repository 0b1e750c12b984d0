"""signoff.request/v1: people decide, and nothing is held meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from backbeat.ports import Need
from backbeat.signoff.evidence import Evidence
from backbeat.signoff.form import Form
from backbeat.signoff.rules import Rules
from backbeat.step import Blocked, Done, Outcome, Replay, Step, StepContext, Waiting

__all__ = ["Signoff"]


class Signoff(Step):
    """Ask people to approve exactly this evidence, and wait in the ledger.

    Args:
        subject: One line for people.
        about: What is approved, e.g. `{"model": "flights", "version": "3"}`; a promotion checks it.
        evidence: What is shown; every vote is bound to its digest.
        approvers: Ids that may vote; empty means anybody who is known.
        quorum: Approvals of distinct people that it takes; one rejection rejects.
        four_eyes: Whether the requester's own vote is refused; on by default when the quorum is 2
            or more.
        deadline: After how long the default decides: seconds or ISO 8601 (`PT12H`).
        default: What the deadline decides.
        rules: Stages, veto, reminders, escalation and more (`backbeat.signoff.Rules`), in the place
            of approvers, quorum, four_eyes and default; `within` goes before `deadline`.
        shown: Facts, links, tables and pictures beside the evidence (`backbeat.signoff.Evidence`).
        form: What a voter fills in (`backbeat.signoff.Form`).

    Value: `request_id`, `decision`, `by` (ids), `evidence_digest`, and what it is `about`.
    """

    kind: ClassVar[str] = "signoff.request/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.LEDGER})
    replay: ClassVar[Replay] = Replay.VERIFY

    subject: str = Field(min_length=1, max_length=300)
    about: dict[str, str] = Field(default_factory=dict)
    evidence: dict[str, Any] = Field(default_factory=dict)
    approvers: tuple[str, ...] = ()
    quorum: int = Field(default=2, ge=1, le=50)
    four_eyes: bool | None = None
    deadline: timedelta = Field(default=timedelta(days=3), gt=timedelta(0))
    default: Literal["approve", "reject"] = "reject"
    rules: Rules | None = None
    shown: Evidence | None = None
    form: Form | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Signoff:
        if self.approvers and len(set(self.approvers)) < self.quorum:
            raise ValueError(
                f"a quorum of {self.quorum} cannot be reached by {len(set(self.approvers))} "
                "approvers"
            )
        return self

    @model_validator(mode="after")
    def _said_once(self) -> Signoff:
        if self.rules is None:
            return self
        fields = type(self).model_fields
        for name in ("approvers", "quorum", "four_eyes", "default"):
            if getattr(self, name) != fields[name].default:
                raise ValueError(f"{name} is said beside the rules: say it in them")
        told = max(
            [*self.rules.reminders, *(level.after for level in self.rules.escalation)],
            default=timedelta(0),
        )
        if told >= (self.rules.within or self.deadline):
            raise ValueError(f"nobody can be told after {told}: the deadline comes before")
        return self

    def perform(self, ctx: StepContext) -> Outcome:
        """Ask, or read what was decided."""
        from backbeat.signoff.book import open_request
        from backbeat.signoff.request import Request

        now, rules = datetime.now(UTC), self.rules or self._simple_rules()
        request = Request(
            request_id=f"so-{ctx.effect_id('request')[7:23]}",
            subject=self.subject,
            about=self.about,
            evidence=self.evidence,
            requester=ctx.identity.actor,
            rules=rules,
            created=now,
            deadline=rules.after(now, rules.within or self.deadline),
            workflow=f"{ctx.identity.workflow}/{ctx.identity.run}",
            shown=self.shown,
            form=self.form,
        )
        state = open_request(ctx.ledger, request)
        if state.decision is None:
            return Waiting(request_id=request.request_id, until=state.request.deadline)
        facts = {
            "request_id": request.request_id,
            "decision": state.name,
            "by": list(state.decision.by),
            "evidence_digest": state.request.evidence_digest,
        }
        if state.decision.choice == "reject":
            return Blocked(
                reason=f"{self.subject}: rejected by {', '.join(state.decision.by)}",
                evidence={**facts, "about": self.about},
            )
        return Done(value={**facts, **self.about}, evidence={"about": self.about})

    def _simple_rules(self) -> Rules:
        return Rules(
            quorum=self.quorum,
            approvers=self.approvers,
            four_eyes=self.quorum > 1 if self.four_eyes is None else self.four_eyes,
            default=self.default,
        )
