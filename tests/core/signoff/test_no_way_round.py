"""No order of votes, delegations, restarts, clock jumps and repeats approves against the rules.

The oracle below knows the people themselves, not what the code makes of them: it is written from
the rules' documentation, keeps plain lists, and shares nothing with the code but the rules' fields.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from backbeat import Actor
from backbeat.errors import Refused
from backbeat.ledger import SqliteLedger
from backbeat.signoff import (
    BreakGlass,
    Escalation,
    People,
    Request,
    Rules,
    Stage,
    break_glass,
    change_evidence,
    change_rules,
    delegate,
    keep_people,
    open_request,
    read_request,
    retract,
    settle_due,
    vote,
    withdraw,
)

CREATED = datetime(2999, 1, 7, 9, tzinfo=UTC)
HOURS = 40
PEOPLE = ["ana", "ben", "cleo", "dora", "emil"]
GROUPS = {"risk": ["ben", "cleo"], "desk": ["cleo", "dora", "emil"]}
DOORS = [
    *((name, Actor(id=name, method="cli")) for name in PEOPLE),
    ("ben", Actor(id="U2", method="slack")),
    ("ana", Actor(id="U1", method="slack")),
    ("cleo", Actor(id="CLEO ", method="airflow")),
    ("dora", Actor(id="d@example.org", method="oidc")),
]
DIRECTORY = People.model_validate(
    {
        "identities": {"slack:U2": "ben", "slack:u1": "ana", "oidc:d@example.org": "dora"},
        "groups": {"risk": ["ben", "cleo"], "desk": ["Cleo", "dora", "emil"]},
        # emil acts for the requester, whoever asks and whatever the request allows
        "delegations": [
            {
                "delegator": "ana",
                "delegate": "emil",
                "starts": CREATED,
                "ends": CREATED + timedelta(hours=20),
            }
        ],
    }
)
WHO = st.sampled_from(
    [(), ("ana", "ben", "cleo", "dora"), ("group:risk",), ("group:desk", "ben"), ("dora", "emil")]
)
STAGES = st.builds(
    Stage,
    quorum=st.integers(1, 2),
    of=WHO,
    rejections=st.integers(1, 2),
    veto=st.sampled_from([(), ("dora",)]),
    four_eyes=st.sampled_from([None, True, False]),
    methods=st.sampled_from([(), (), ("slack", "oidc", "cli")]),
)


def _rules(stages: list[Stage], *, delegation: bool, **more: Any) -> Rules:
    # where four eyes are nowhere demanded, the standing delegation would be a right: see test_acts
    eyes = any(one.two_pairs_of_eyes for one in stages)
    known = {"stages": stages, "delegation": delegation and eyes}
    return Rules.model_validate({**known, **more})


RULES = st.builds(
    _rules,
    st.lists(STAGES, min_size=1, max_size=2),
    default=st.sampled_from(["approve", "reject"]),
    delegation=st.booleans(),
    reminders=st.sampled_from([(), (timedelta(hours=4),)]),
    escalation=st.sampled_from(
        [(), (Escalation(after=timedelta(hours=8), to=("emil",), may_vote=True),)]
    ),
    break_glass=st.sampled_from([None, BreakGlass(by=("emil", "ana"))]),
    changed_by=st.just(("cleo",)),
)


class Oracle:
    """What the rules give, by the people themselves."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.status = "open"
        self.shown = 0
        self.floor = CREATED
        self.votes: list[tuple[int, set[str], str, str]] = []
        self.stage = 0
        self.acting: list[tuple[str, str]] = []
        self.rights: list[tuple[str, str, datetime, datetime]] = []
        self.emil_may = False
        self.told: set[str] = set()

    def at(self, clock: datetime) -> datetime:
        now = max(clock, self.floor)
        if self.status == "open" and now >= CREATED + timedelta(hours=HOURS):
            self.status = {"approve": "approved", "reject": "rejected"}[self.rules.default]
        return now

    def among(self, name: str, selectors: tuple[str, ...]) -> bool:
        if not selectors:
            return True
        groups = {f"group:{group}" for group, members in GROUPS.items() if name in members}
        return name in selectors or bool(groups & set(selectors))

    def eligible(self, name: str) -> bool:
        may = self.among(name, self.rules.stages[self.stage].of)
        return may or (self.emil_may and name == "emil")

    def together(self, one: set[str], other: set[str], more: list[tuple[str, str]]) -> bool:
        linked = {(a, b): a == b for a, b in product(PEOPLE, PEOPLE)}
        for a, b in [*self.acting, *more]:
            linked[a, b] = linked[b, a] = True
        for via, a, b in product(PEOPLE, PEOPLE, PEOPLE):
            linked[a, b] = linked[a, b] or (linked[a, via] and linked[via, b])
        return any(linked[a, b] for a in one for b in other)

    def vote(  # noqa: C901, PLR0911 - a line a rule
        self, name: str, method: str, choice: str, shown: int, clock: datetime
    ) -> bool:
        now = self.at(clock)
        if self.status != "open" or shown != self.shown:
            return False
        stage = self.rules.stages[self.stage]
        standing = [("ana", "emil")] if CREATED <= now < CREATED + timedelta(hours=20) else []
        vetoes = choice == "reject" and self.among(name, stage.veto) and bool(stage.veto)
        right = name
        if not vetoes and not self.eligible(name):
            lent = [(a, b, *when) for a, b, *when in self.rights if b == name]
            lent = [one for one in lent if one[2] <= now < one[3] and self.eligible(one[0])]
            if not lent:
                return False
            right = lent[0][0]
        if stage.methods and method not in stage.methods:
            return False
        mine = {name, right}
        here = [votes for number, votes, _, _ in self.votes if number == self.stage]
        if any(mine & votes for votes in here):
            return False
        eyes = stage.quorum > 1 if stage.four_eyes is None else stage.four_eyes
        if eyes and self.together(mine, {"ana"}, standing):
            return False
        if eyes and any(self.together(mine, votes, standing) for _, votes, _, _ in self.votes):
            return False
        self.acting += standing
        self.floor = now
        self.votes.append((self.stage, mine, choice, name))
        cast = [(word, who) for number, _, word, who in self.votes if number == self.stage]
        if vetoes or sum(word == "reject" for word, _ in cast) >= stage.rejections:
            self.status = "rejected"
        elif choice == "approve" and sum(word == "approve" for word, _ in cast) >= stage.quorum:
            self.stage += 1
            if self.stage == len(self.rules.stages):
                self.status = "approved"
        return True


class NoWayRound(RuleBasedStateMachine):
    """Everybody tries everything, at any time."""

    @initialize(rules=RULES)
    def ask(self, rules: Rules) -> None:
        # in memory where the machine has that: nothing here is about what a disk keeps
        memory = Path("/dev/shm")  # noqa: S108
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.path = Path(self.folder.name) / "ledger.db"
        self.ledger = SqliteLedger(self.path)
        keep_people(self.ledger, DIRECTORY, actor=Actor(id="root", method="cli"))
        self.rules = rules
        self.clock = CREATED
        self.number = 0
        self.oracle = Oracle(rules)
        self.deliveries: list[dict[str, Any]] = []
        request = Request(
            request_id="so-1",
            subject="Ship it?",
            about={"version": "3"},
            evidence={"n": 0},
            requester=Actor(id="U1", method="slack"),
            rules=rules,
            created=CREATED,
            deadline=CREATED + timedelta(hours=HOURS),
            workflow="w/r",
        )
        open_request(self.ledger, request)
        self.shown = [self._read().request.evidence_digest]

    def _now(self) -> datetime:
        return self.clock

    def _read(self) -> Any:
        return read_request(self.ledger, "so-1", clock=self._now)

    def _tried(self, act: Any, **given: Any) -> bool:
        try:
            act(self.ledger, "so-1", clock=self._now, **given)
        except Refused:
            return False
        return True

    @rule(
        door=st.sampled_from(DOORS),
        choice=st.sampled_from(["approve", "approve", "approve", "reject"]),
        stale=st.integers(0, 2),
    )
    def say(self, door: tuple[str, Actor], choice: Any, stale: int) -> None:
        self._cast(door, choice, stale)

    def _cast(self, door: tuple[str, Actor], choice: Any, stale: int) -> None:
        name, actor = door
        shown = 0 if stale == 0 else len(self.shown) - 1
        self.number += 1
        given = {
            "choice": choice,
            "actor": actor,
            "evidence_digest": self.shown[shown],
            "delivery": f"d{self.number}",
        }
        expected = self.oracle.vote(name, actor.method, choice, shown, self.clock)
        assert self._tried(vote, **given) == expected
        if expected:
            self.deliveries.append(given)

    @rule(door=st.sampled_from(DOORS))
    def approve(self, door: tuple[str, Actor]) -> None:
        self._cast(door, "approve", 1)

    @rule(door=st.sampled_from(DOORS))
    def approve_too(self, door: tuple[str, Actor]) -> None:
        self._cast(door, "approve", 1)

    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        if self.deliveries:
            before = len(self._read().votes)
            given = data.draw(st.sampled_from(self.deliveries))
            assert self._tried(vote, **given)
            self.oracle.at(self.clock)
            assert len(self._read().votes) == before

    @rule(
        giver=st.sampled_from(DOORS),
        taker=st.sampled_from(PEOPLE),
        length=st.integers(1, 30),
    )
    def delegate(self, giver: tuple[str, Actor], taker: str, length: int) -> None:
        name, actor = giver
        oracle = self.oracle
        now = oracle.at(self.clock)
        ends = now + timedelta(hours=length)
        left = self.rules.stages[oracle.stage :] if oracle.status == "open" else []
        eyes = any(
            one.quorum > 1 if one.four_eyes is None else one.four_eyes for one in self.rules.stages
        )
        expected = (
            oracle.status == "open"
            and self.rules.delegation
            and name != taker
            and (
                any(oracle.among(name, one.of) for one in left)
                or (oracle.emil_may and name == "emil")
            )
            and not (eyes and "ana" in {name, taker})
            and not any(name == b or taker == a for a, b in oracle.acting)
            and not any(name == who for _, _, _, who in oracle.votes)
        )
        assert self._tried(delegate, actor=actor, to=taker, ends=ends) == expected
        if expected:
            oracle.acting.append((name, taker))
            oracle.rights.append((name, taker, now, ends))
            oracle.floor = now

    @rule(door=st.sampled_from(DOORS))
    def retract(self, door: tuple[str, Actor]) -> None:
        name, actor = door
        oracle = self.oracle
        now = oracle.at(self.clock)
        mine = (
            [one for one in oracle.votes if one[0] == oracle.stage and one[3] == name]
            if oracle.status == "open"
            else []
        )
        assert self._tried(retract, actor=actor) == bool(mine)
        if mine:
            oracle.votes.remove(mine[0])
            oracle.floor = now

    @rule(door=st.sampled_from([DOORS[0], DOORS[6], DOORS[1]]), often=st.integers(0, 2))
    def change_evidence(self, door: tuple[str, Actor], often: int) -> None:
        if often:
            return
        name, actor = door
        oracle = self.oracle
        now = oracle.at(self.clock)
        expected = oracle.status == "open" and name == "ana"
        evidence = {"n": len(self.shown)}
        given = {"actor": actor, "about": {"version": "3"}, "evidence": evidence}
        assert self._tried(change_evidence, **given) == expected
        if expected:
            self._shown_anew(now)

    @rule(door=st.sampled_from(DOORS), quorum=st.integers(1, 2))
    def change_rules(self, door: tuple[str, Actor], quorum: int) -> None:
        name, actor = door
        oracle = self.oracle
        now = oracle.at(self.clock)
        expected = oracle.status == "open" and name == "cleo"
        known = {name: getattr(self.rules, name) for name in ("default", "delegation", "reminders")}
        known |= {"escalation": self.rules.escalation, "break_glass": self.rules.break_glass}
        stages = [Stage(quorum=quorum), *self.rules.stages[1:]]
        rules = _rules(stages, changed_by=("cleo",), **known)
        assert self._tried(change_rules, actor=actor, rules=rules) == expected
        if expected:
            self.rules = oracle.rules = rules
            self._shown_anew(now)

    def _shown_anew(self, now: datetime) -> None:
        self.shown.append(self._read().request.evidence_digest)
        self.oracle.shown = len(self.shown) - 1
        # the same evidence and rules again are the same digest: a vote on it is on what is shown
        self.oracle.votes, self.oracle.stage, self.oracle.floor = [], 0, now

    @rule(
        door=st.sampled_from(DOORS),
        reason=st.sampled_from(["", "the plant is on fire"]),
        often=st.integers(0, 3),
    )
    def break_glass(self, door: tuple[str, Actor], reason: str, often: int) -> None:
        if often:
            return
        name, actor = door
        oracle = self.oracle
        oracle.at(self.clock)
        expected = (
            oracle.status == "open"
            and self.rules.break_glass is not None
            and name == "emil"
            and bool(reason)
        )
        assert self._tried(break_glass, actor=actor, reason=reason) == expected
        if expected:
            oracle.status = "approved"

    @rule(jump=st.integers(-30, 8))
    def let_the_clock_jump(self, jump: int) -> None:
        self.clock += timedelta(hours=jump)

    @rule()
    def tick(self) -> None:
        self.ledger.database.now = self._now  # type: ignore[method-assign]
        with self.ledger.database.write() as tx:
            tx.exec_driver_sql("UPDATE backbeat_streams SET taken_until = NULL")
            [[due]] = tx.exec_driver_sql(
                "SELECT due FROM backbeat_streams WHERE stream = 'signoff/so-1'"
            )
        was_open = self.oracle.status == "open"
        if was_open and datetime.fromisoformat(due) <= self.clock:
            now = self.oracle.at(self.clock)
            if self.oracle.status == "open":
                self.oracle.floor = now
                if self.rules.escalation and now >= CREATED + timedelta(hours=8):
                    self.oracle.emil_may = True
        settle_due(self.ledger, clock=self._now)
        del self.ledger.database.now  # type: ignore[method-assign]

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = SqliteLedger(self.path)

    @rule(often=st.integers(0, 20))
    def withdraw(self, often: int) -> None:
        if often == 0:
            withdraw(self.ledger, "so-1", clock=self._now)
            self.oracle.at(self.clock)
            if self.oracle.status == "open":
                self.oracle.status = "rejected"

    @invariant()
    def it_stands_as_the_rules_say(self) -> None:
        if hasattr(self, "oracle"):
            found = self._read()
            self.oracle.at(self.clock)
            assert found.name == self.oracle.status

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()


TestNoWayRound = NoWayRound.TestCase
TestNoWayRound.settings = settings(
    max_examples=80,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
