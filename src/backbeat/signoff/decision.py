"""The decision: a pure function of the request, the events of its stream, and a moment.

Events are taken in the ledger's order. Time only goes forward along a stream: the moment of an
event is the latest that it or any before it has recorded, so a clock that was set back revives no
deadline. What the rules do not count changes nothing, however it got into the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from backbeat.signoff.counting import Code, Refusal, why_not
from backbeat.signoff.events import (
    BrokenGlass,
    Delegated,
    Escalated,
    EvidenceChanged,
    Happened,
    Happening,
    Reminded,
    Retracted,
    RulesChanged,
)
from backbeat.signoff.people import Person, matches
from backbeat.signoff.permission import why_not_broken, why_not_changed, why_not_delegated
from backbeat.signoff.request import Decision, Request, Vote
from backbeat.signoff.rules import Stage
from backbeat.signoff.text import Frozen, name_key
from backbeat.signoff.timetable import next_due

__all__ = ["DEADLINE", "GLASS", "Course", "NotCounted", "Standing", "decide"]

DEADLINE, GLASS = "system:deadline", "system:break-glass"


class NotCounted(Frozen):
    """A recorded vote that does not count, or no longer, and why."""

    vote: Vote
    code: Code
    why: str


class Standing(Frozen):
    """How a request stands.

    Args:
        status: `open`, `approved` or `rejected`.
        stage: Number of the open stage, from 0; of a decided request, where it was decided.
        counted: The votes that count, in all stages.
        not_counted: The others, each with its reason.
        missing: How many approvals the open stage still needs.
        decision: What was decided, by whom and when.
        next_due: When somebody must be told something next, or the default decides.
    """

    status: Literal["open", "approved", "rejected"]
    stage: int
    counted: tuple[Vote, ...]
    not_counted: tuple[NotCounted, ...]
    missing: int
    decision: Decision | None
    next_due: datetime | None


def decide(request: Request, events: Iterable[Happened], now: datetime) -> Standing:
    """How a request stands at a moment."""
    return Course(request, events).standing(now)


class Course:
    """A request as event after event has left it.

    Args:
        request: As it was asked.
        events: What has happened since, in the ledger's order.
    """

    def __init__(self, request: Request, events: Iterable[Happened] = ()) -> None:
        self.request = request
        self.digest = request.evidence_digest
        self.stages = request.rules.in_order
        self.now = request.created
        self.decision: Decision | None = None
        self.told: set[str] = set()
        self.granted: frozenset[str] = frozenset()
        self.votes: list[Vote] = []
        self.not_counted: list[NotCounted] = []
        self.delegations: list[Delegated] = []
        self.recorded = False
        self.version = 1
        self._rights: list[Delegated] = []
        self._stages: list[list[Vote]] = [[]]
        for event in events:
            self.apply(event.what, recorded=event.recorded)
            self.version = event.version

    @property
    def open_stage(self) -> Stage:
        """The stage that is open; the last one where all are through."""
        return self.stages[self.stage]

    @property
    def stage(self) -> int:
        """Its number, from 0."""
        return min(len(self._stages), len(self.stages)) - 1

    @property
    def votes_here(self) -> list[Vote]:
        """The votes that count in the open stage."""
        return self._stages[-1]

    @property
    def all_votes(self) -> list[tuple[Vote, bool]]:
        """Every vote that counts, and whether it does so in another stage."""
        return [(vote, some is not self._stages[-1]) for some in self._stages for vote in some]

    @property
    def missing(self) -> int:
        """How many approvals the open stage still needs."""
        approvals = sum(vote.choice == "approve" for vote in self.votes_here)
        return 0 if self.decision else self.open_stage.quorum - approvals

    def delegations_to(self, person: Person) -> list[Delegated]:
        """The rights that were delegated to somebody and hold now; never one at second hand."""
        return [
            one
            for one in self._rights
            if one.delegate.key == person.key and one.starts <= self.now < one.ends
        ]

    def right_of(self, vote: Vote) -> Person | None:
        """The person whose right a vote uses; None where it was not delegated to the voter."""
        if vote.for_person is None:
            return vote.by
        key = name_key(vote.for_person)
        holders = (one.person for one in self.delegations_to(vote.by) if one.person.key == key)
        return next(holders, None)

    def acts_with(self, vote: Vote) -> set[str]:
        """Keys of all who act for one another with the voter or the one whose right it is."""
        circle = {vote.by.key, name_key(vote.for_person or vote.by.id)}
        pairs = [{one.person.key, one.delegate.key} for one in self.delegations]
        while grown := [pair for pair in pairs if pair & circle and not pair <= circle]:
            circle = circle.union(*grown)
        return circle

    def advance(self, now: datetime) -> None:
        """Let time pass, never backwards; at the deadline the default decides."""
        self.now = max(self.now, now)
        if self.decision is None and self.now >= self.request.deadline:
            self.decision = Decision(
                choice=self.request.rules.default, by=(DEADLINE,), at=self.request.deadline
            )

    def refusal(self, vote: Vote) -> Refusal | None:
        """Why a vote would not count if it came now."""
        if self.decision is not None:
            by = ", ".join(self.decision.by)
            past = {"approve": "approved", "reject": "rejected"}[self.decision.choice]
            return Refusal(Code.AFTER_DECISION, f"it was {past} by {by}")
        return why_not(self, vote)

    def standing(self, now: datetime) -> Standing:
        """How it stands at a moment."""
        self.advance(now)
        status: Literal["open", "approved", "rejected"] = "open"
        if self.decision is not None:
            status = "approved" if self.decision.choice == "approve" else "rejected"
        return Standing(
            status=status,
            stage=self.stage,
            counted=tuple(vote for vote, _ in self.all_votes),
            not_counted=tuple(self.not_counted),
            missing=self.missing,
            decision=self.decision,
            next_due=None if self.decision else next_due(self.request, self.told),
        )

    def apply(self, what: Happening, *, recorded: datetime | None = None) -> None:
        """Let one event happen.

        Args:
            what: The event.
            recorded: When the ledger took it, by its clock.
        """
        if isinstance(what, Decision):
            self._decided(what)
            return
        self.advance(what.at)
        if isinstance(what, Vote):
            self._vote(what)
        elif isinstance(what, (Reminded, Escalated)):
            self.told.add(what.key)
            if isinstance(what, Escalated) and what.may_vote:
                self.granted |= set(what.to)
        elif self.decision is None:
            self._act(what)
        if recorded is not None:
            # after the event: what it did was judged by the clock of who did it
            self.now = max(self.now, recorded)

    def _vote(self, vote: Vote) -> None:
        refusal = self.refusal(vote)
        self.votes.append(vote)
        if refusal is not None:
            self.not_counted.append(NotCounted(vote=vote, code=refusal.code, why=refusal.why))
            return
        here, stage = self.votes_here, self.open_stage
        here.append(vote)
        rejections = [one for one in here if one.choice == "reject"]
        vetoed = vote.choice == "reject" and matches(stage.veto, vote.by)
        if vetoed or len(rejections) >= stage.rejections:
            by = (vote,) if vetoed else tuple(rejections)
            self.decision = Decision(
                choice="reject", by=tuple(one.actor.id for one in by), at=self.now
            )
        elif self.missing == 0:
            if len(self._stages) < len(self.stages):
                self._stages.append([])
                return
            approvals = [one for one, _ in self.all_votes if one.choice == "approve"]
            self.decision = Decision(
                choice="approve", by=tuple(one.actor.id for one in approvals), at=self.now
            )

    def _act(
        self, what: Retracted | Delegated | EvidenceChanged | RulesChanged | BrokenGlass
    ) -> None:
        if isinstance(what, Retracted):
            self._stages[-1] = [one for one in self.votes_here if one.by.key != what.person.key]
        elif isinstance(what, Delegated):
            if why_not_delegated(self, what) is None:
                self._rights.append(what)
            # whoever acts for whom, by right or not, are not four eyes
            self.delegations.append(what)
        elif isinstance(what, BrokenGlass):
            if why_not_broken(self, what) is None:
                self.decision = Decision(choice="approve", by=(GLASS, what.actor.id), at=self.now)
        elif why_not_changed(self, what) is None:
            self._show_anew(what)

    def _show_anew(self, what: EvidenceChanged | RulesChanged) -> None:
        cause = "evidence" if isinstance(what, EvidenceChanged) else "rules"
        why = f"the {cause} it was cast on has changed since: {what.actor.id} changed the {cause}"
        for vote, _ in self.all_votes:
            self.not_counted.append(NotCounted(vote=vote, code=Code.STALE_EVIDENCE, why=why))
        self._stages = [[]]
        names = {"about", "evidence", "shown"} if cause == "evidence" else {"rules", "deadline"}
        self.request = self.request.model_copy(update={name: getattr(what, name) for name in names})
        self.digest = self.request.evidence_digest
        self.stages = self.request.rules.in_order

    def _decided(self, found: Decision) -> None:
        # a decision is computed, and a recorded one is its record: an approval that the votes do
        # not give is none. What version 0.2 can play, it may have decided by its own clock
        self.advance(found.at)
        if self.recorded:
            return
        alone = self.request.simple or found.choice == "reject"
        if alone or (self.decision is not None and self.decision.choice == found.choice):
            self.decision, self.recorded = found, True
