"""A sign-off request, the votes on it, and the rules that turn votes into a decision."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backbeat.canonical import digest
from backbeat.identity import Actor

__all__ = ["Choice", "Decision", "Request", "Rules", "State", "Vote", "decide", "why_not"]

Choice = Literal["approve", "reject"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(_Frozen):
    """Who may decide, and how many it takes.

    Args:
        quorum: Approvals of distinct people that it takes.
        approvers: Ids that may vote; empty means anybody who is known.
        four_eyes: The requester's own vote is refused.
        default: What the deadline decides.
    """

    quorum: int = Field(ge=1)
    approvers: tuple[str, ...] = ()
    four_eyes: bool
    default: Choice = "reject"


class Request(_Frozen):
    """What people are asked, and exactly what they are shown.

    Args:
        request_id: Deterministic for one piece of work.
        subject: One line.
        about: What is approved, such as model and version; later effects are held against it.
        evidence: What is shown.
        requester: Who asks.
        rules: Who decides.
        created: When it was asked.
        deadline: When the default decides.
        workflow: The workflow run that waits, for people.
    """

    request_id: str
    subject: str
    about: dict[str, str]
    evidence: dict[str, Any]
    requester: Actor
    rules: Rules
    created: datetime
    deadline: datetime
    workflow: str

    @property
    def evidence_digest(self) -> str:
        """What every vote is bound to: subject, object, evidence and rules, as they were shown."""
        return digest(
            {
                "subject": self.subject,
                "about": self.about,
                "evidence": self.evidence,
                "rules": self.rules.model_dump(mode="json"),
            }
        )


class Vote(_Frozen):
    """One person's word, bound to the digest of what was shown."""

    actor: Actor
    choice: Choice
    evidence_digest: str
    reason: str = ""
    at: datetime


class Decision(_Frozen):
    """What the rules make of the votes.

    Args:
        choice: The result.
        by: Ids whose votes made it; `system:deadline` where the default did.
        at: When.
    """

    choice: Choice
    by: tuple[str, ...]
    at: datetime


class State(_Frozen):
    """A request with its votes and, once there is one, its decision."""

    request: Request
    votes: tuple[Vote, ...]
    decision: Decision | None
    version: int

    @property
    def name(self) -> str:
        """`open`, `approved` or `rejected`."""
        if self.decision is None:
            return "open"
        return {"approve": "approved", "reject": "rejected"}[self.decision.choice]


def decide(request: Request, votes: tuple[Vote, ...], now: datetime) -> Decision | None:
    """Compute the decision: one counted rejection, or approvals of `quorum` distinct people.

    Votes are taken in the order in which they were recorded; a vote that the rules do not count
    changes nothing, however it got there. At the deadline the default decides.
    """
    approvals: dict[str, Vote] = {}
    for number, vote in enumerate(votes):
        if why_not(request, votes[:number], vote) is not None:
            continue
        if vote.choice == "reject":
            return Decision(choice="reject", by=(vote.actor.id,), at=vote.at)
        approvals[vote.actor.id] = vote
        if len(approvals) >= request.rules.quorum:
            return Decision(choice="approve", by=tuple(approvals), at=vote.at)
    if now >= request.deadline:
        return Decision(choice=request.rules.default, by=("system:deadline",), at=request.deadline)
    return None


def why_not(  # noqa: PLR0911 - one line a rule
    request: Request, earlier: tuple[Vote, ...], vote: Vote
) -> str | None:
    """Why the rules do not count a vote; None where they do."""
    rules = request.rules
    if vote.actor.method == "anonymous":
        return "nobody is known to have cast it: anonymous is refused"
    if vote.evidence_digest != request.evidence_digest:
        return "it is bound to other evidence than what the request shows now"
    if vote.at >= request.deadline:
        return "the deadline has passed"
    if rules.approvers and vote.actor.id not in rules.approvers:
        return f"{vote.actor.id} is not among the approvers"
    if rules.four_eyes and vote.actor.id == request.requester.id:
        return f"{vote.actor.id} made the request, and four eyes are demanded"
    if any(other.actor.id == vote.actor.id for other in earlier):
        return f"{vote.actor.id} has voted already"
    return None
