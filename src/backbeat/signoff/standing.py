"""Standing delegations: what the directory says about who acts for whom, copied to the record."""

from __future__ import annotations

from datetime import datetime

from backbeat.identity import Actor
from backbeat.signoff.decision import Course
from backbeat.signoff.events import Delegated
from backbeat.signoff.people import Directory, Person
from backbeat.signoff.text import name_key

__all__ = ["standing_delegations"]

_DIRECTORY = Actor(id="system:directory", method="system")
_MOST = 200


def standing_delegations(
    course: Course, directory: Directory, voter: Person, at: datetime
) -> list[Delegated]:
    """What is to be recorded before a vote, so that the decision follows from the stream alone.

    It is all that leads, over however many, from the voter or the requester to somebody else.
    """
    known = {(one.person.key, one.delegate.key, one.starts, one.ends) for one in course.delegations}
    found: list[Delegated] = []
    waiting, seen = [voter, course.request.requester_person], set[str]()
    while waiting and len(found) < _MOST:
        person = waiting.pop()
        if person.key in seen:
            continue
        seen.add(person.key)
        for one in directory.standing(person, at):
            pair = (name_key(one.delegator), name_key(one.delegate), one.starts, one.ends)
            both = [directory.known(one.delegator), directory.known(one.delegate)]
            waiting += both
            if pair in known:
                continue
            known.add(pair)
            found.append(
                Delegated(
                    actor=_DIRECTORY,
                    person=both[0],
                    delegate=both[1],
                    starts=one.starts,
                    ends=one.ends,
                    standing=True,
                    at=at,
                )
            )
    return found
