"""Sign-off: people decide, by rules, on exactly what they were shown; nothing waits meanwhile."""

from __future__ import annotations

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
