"""A worker behind a service asks by any rules, and still cannot say a word about people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbeat import Actor
from backbeat.errors import Refused
from backbeat.ledger import SqliteLedger
from backbeat.service.credentials import Scope, Token
from backbeat.service.gate import perform
from backbeat.signoff import People, Request, keep_people, open_request, read_request

Make = Callable[..., Any]
NOW = datetime.now(UTC)


class Behind:
    """The ledger as a worker's token reaches it."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self._token = Token("t", "", Scope.WORKER, None, NOW, NOW + timedelta(hours=1))

    def __getattr__(self, verb: str) -> Any:
        names = {"append": ("stream", "additions"), "read": ("stream",)}[verb]

        def call(*given: Any, **named: Any) -> Any:
            arguments = {**dict(zip(names, given, strict=False)), **named}
            return perform(self._token, verb, arguments, self._ledger)  # type: ignore[arg-type]

        return call


def test_it_asks_by_stages(ledger: SqliteLedger, request_of: Make) -> None:
    """The request that the service keeps is the one that was asked, to its digest."""
    request: Request = request_of(
        stages=[{"quorum": 2, "of": ["group:risk"]}, {"veto": ["dora"]}],
        form={"properties": {"limit": {"type": "number"}}},
        shown={"facts": [{"name": "AUC", "value": 0.9}]},
    )
    behind: Any = Behind(ledger)
    assert open_request(behind, request).request == request
    kept = read_request(ledger, "so-1").request
    assert kept.evidence_digest == request.evidence_digest


def test_it_does_not_say_who_is_who(ledger: SqliteLedger) -> None:
    """The directory lies where no token writes: else a worker could make one person two."""
    people = People.model_validate({"identities": {"slack:U1": "dora"}})
    with pytest.raises(Refused):
        keep_people(Behind(ledger), people, actor=Actor(id="w", method="python"))  # type: ignore[arg-type]
    assert ledger.read("signoff/.people") == []
