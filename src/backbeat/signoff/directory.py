"""The directory that a ledger keeps: every door of a platform looks people up in the same one."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from backbeat.errors import Conflict, InvalidData, LedgerIncompatible
from backbeat.identity import Actor
from backbeat.ports import AuditFact, Ledger
from backbeat.signoff.people import People

__all__ = ["keep_people", "people_from_file", "people_of"]

# below `signoff/`, which no token of `backbeat serve` may write to
_STREAM = "signoff/.people"
_CATEGORY = "signoff-people"
_MOST_BYTES = 4_000_000


def people_of(ledger: Ledger) -> People:
    """The people that a ledger knows; nobody, where nobody was ever named.

    Raises:
        LedgerIncompatible: A later version has written it.
    """
    events = ledger.read(_STREAM)
    if not events:
        return People()
    try:
        return People.model_validate(events[-1].body["people"])
    except (ValidationError, KeyError) as error:
        raise LedgerIncompatible(
            "the ledger's directory of people is not understood by this version of backbeat",
            hint="upgrade backbeat here",
        ) from error


def keep_people(ledger: Ledger, people: People, *, actor: Actor) -> None:
    """Replace the ledger's directory; the one before stays on record.

    Raises:
        Conflict: Somebody else has replaced it at the same moment.
    """
    events = ledger.read(_STREAM)
    try:
        ledger.append(
            _STREAM,
            [("people", {"format": 2, "people": people.model_dump(mode="json")})],
            category=_CATEGORY,
            expected=events[-1].version if events else 0,
            state="kept",
            due=None,
            audit=[AuditFact("signoff.people", "ok", actor, {"people": len(people.identities)})],
        )
    except Conflict as error:
        raise Conflict(
            "somebody else has replaced the directory of people at the same moment",
            hint="look at theirs with `backbeat signoff people`, then say yours again",
        ) from error


def people_from_file(path: Path) -> People:
    """A directory from a JSON file.

    Raises:
        InvalidData: It is no directory of people; says where and why.
    """
    try:
        text = path.read_bytes()
        if len(text) > _MOST_BYTES:
            raise InvalidData(
                f"{path} holds {len(text)} bytes, and a directory at most {_MOST_BYTES}",
                hint="write your own Directory where there are so many people",
            )
        return People.model_validate_json(text)
    except OSError as error:
        raise InvalidData(
            f"{path} cannot be read: {error.strerror}", hint="name a JSON file"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise InvalidData(
            f"{path} is no directory of people: {where}: {first['msg']}",
            hint="see docs/signoff.md for its form",
        ) from error
