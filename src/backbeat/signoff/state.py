"""A request as those see it who wait for it, show it, or act on it."""

from __future__ import annotations

from backbeat.signoff.decision import Course, Standing
from backbeat.signoff.request import Decision, Request, Vote
from backbeat.signoff.text import Frozen

__all__ = ["State", "state_of"]


class State(Frozen):
    """A request with its votes and, once there is one, its decision.

    Args:
        request: With the evidence and the rules that hold now.
        votes: All that were recorded, in order.
        decision: What was decided.
        version: Of the stream.
        standing: Which votes count, which do not and why, and what is missing.
    """

    request: Request
    votes: tuple[Vote, ...]
    decision: Decision | None
    version: int
    standing: Standing

    @property
    def name(self) -> str:
        """`open`, `approved` or `rejected`."""
        return self.standing.status


def state_of(course: Course) -> State:
    """A course as it stands."""
    standing = course.standing(course.now)
    return State(
        request=course.request,
        votes=tuple(course.votes),
        decision=course.decision,
        version=course.version,
        standing=standing,
    )
