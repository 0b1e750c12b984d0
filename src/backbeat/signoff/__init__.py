"""Sign-off: people decide, by rules, on exactly what they were shown; nothing waits meanwhile."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.signoff.acts import break_glass, change_evidence, change_rules, delegate, retract
    from backbeat.signoff.asking import Asking
    from backbeat.signoff.book import open_request, read_request, requests, withdraw
    from backbeat.signoff.counting import Code
    from backbeat.signoff.decision import Standing, decide
    from backbeat.signoff.directory import keep_people, people_from_file, people_of
    from backbeat.signoff.evidence import Evidence, Fact, Link, Picture, Table
    from backbeat.signoff.form import Form
    from backbeat.signoff.people import Directory, People, Person, StandingDelegation
    from backbeat.signoff.request import Decision, Request, Vote
    from backbeat.signoff.rules import BreakGlass, Escalation, Rules, Stage
    from backbeat.signoff.state import State
    from backbeat.signoff.ticker import Ticked, settle_due, tick_due, tick_request
    from backbeat.signoff.voting import vote
    from backbeat.signoff.working_time import WorkingHours

__all__ = [
    "Asking",
    "BreakGlass",
    "Code",
    "Decision",
    "Directory",
    "Escalation",
    "Evidence",
    "Fact",
    "Form",
    "Link",
    "People",
    "Person",
    "Picture",
    "Request",
    "Rules",
    "Stage",
    "Standing",
    "StandingDelegation",
    "State",
    "Table",
    "Ticked",
    "Vote",
    "WorkingHours",
    "break_glass",
    "change_evidence",
    "change_rules",
    "decide",
    "delegate",
    "keep_people",
    "open_request",
    "people_from_file",
    "people_of",
    "read_request",
    "requests",
    "retract",
    "settle_due",
    "tick_due",
    "tick_request",
    "vote",
    "withdraw",
]

_HOMES = {
    "Asking": "backbeat.signoff.asking",
    "BreakGlass": "backbeat.signoff.rules",
    "Code": "backbeat.signoff.counting",
    "Decision": "backbeat.signoff.request",
    "Directory": "backbeat.signoff.people",
    "Escalation": "backbeat.signoff.rules",
    "Evidence": "backbeat.signoff.evidence",
    "Fact": "backbeat.signoff.evidence",
    "Form": "backbeat.signoff.form",
    "Link": "backbeat.signoff.evidence",
    "People": "backbeat.signoff.people",
    "Person": "backbeat.signoff.people",
    "Picture": "backbeat.signoff.evidence",
    "Request": "backbeat.signoff.request",
    "Rules": "backbeat.signoff.rules",
    "Stage": "backbeat.signoff.rules",
    "Standing": "backbeat.signoff.decision",
    "StandingDelegation": "backbeat.signoff.people",
    "State": "backbeat.signoff.state",
    "Table": "backbeat.signoff.evidence",
    "Ticked": "backbeat.signoff.ticker",
    "Vote": "backbeat.signoff.request",
    "WorkingHours": "backbeat.signoff.working_time",
    "break_glass": "backbeat.signoff.acts",
    "change_evidence": "backbeat.signoff.acts",
    "change_rules": "backbeat.signoff.acts",
    "decide": "backbeat.signoff.decision",
    "delegate": "backbeat.signoff.acts",
    "keep_people": "backbeat.signoff.directory",
    "open_request": "backbeat.signoff.book",
    "people_from_file": "backbeat.signoff.directory",
    "people_of": "backbeat.signoff.directory",
    "read_request": "backbeat.signoff.book",
    "requests": "backbeat.signoff.book",
    "retract": "backbeat.signoff.acts",
    "settle_due": "backbeat.signoff.ticker",
    "tick_due": "backbeat.signoff.ticker",
    "tick_request": "backbeat.signoff.ticker",
    "vote": "backbeat.signoff.voting",
    "withdraw": "backbeat.signoff.book",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.signoff' has no attribute {name!r}")
