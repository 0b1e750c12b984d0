"""Telling once: what a monitor's people have been told, so that no night repeats the last one."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from backbeat.alerts.alert import Alert
from backbeat.canonical import canonical_bytes
from backbeat.data.key import clean_key
from backbeat.drift.marks import day_of
from backbeat.errors import NotFound
from backbeat.ports import Store

__all__ = ["Noted", "Told", "is_due"]

_REPEAT_DAYS = 7
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What is known of a cause that people were told of.

    Args:
        told: The batch with which they were told the last time.
        seen: The latest batch in which it was found.
        owed: Whether they had to be told again since, and could not be.
    """

    told: str
    seen: str
    owed: bool = False


def is_due(
    partition: str,
    noted: Noted | None,
    newest: str | None,
    *,
    repeat_after_days: int = _REPEAT_DAYS,
) -> bool:
    """Whether people are to be told of a cause that was found in a batch.

    Args:
        partition: The batch; batches are compared as text, as a monitor compares them.
        noted: What is known of the cause; None where nobody has been told of it.
        newest: The latest batch that was checked, None where none was.
        repeat_after_days: Days after which they hear again of what goes on; only batches that are
            named by their days have such an age.
    """
    if noted is None:
        return True
    if partition <= noted.seen:
        return False  # a retry, a clear, or a backfill of the past
    # another batch was checked since, and this was not found in it
    gone = newest is not None and noted.seen < newest < partition
    before, now = day_of(noted.told), day_of(partition)
    old = before is not None and now is not None and (now - before).days >= repeat_after_days
    return noted.owed or gone or old


class Told:
    """What was told about one monitor: `<monitor>/alerts/<step>/<cause>.json`, a file a cause.

    The same cause against another reference is another one. It is noted after it was told: where
    a worker dies between the two, or two tell at once, people hear it twice.

    Args:
        store: Where the monitor is.
        monitor: Its prefix.
        kind: The kind of step that finds something; each sees its own batches.
    """

    def __init__(self, store: Store, monitor: str, kind: str) -> None:
        self._store = store
        self._folder = f"{clean_key(monitor)}/alerts/{kind.partition('/')[0]}"

    def is_news(self, alert: Alert) -> bool:
        """Whether people are to be told this now; see `is_due`."""
        return is_due(alert.partition, self._noted(alert), self._newest())

    def note(self, partition: str, alert: Alert | None, *, told: bool) -> None:
        """Remember what was found in a batch, and whether people were told.

        Args:
            partition: The batch.
            alert: What was found; None for nothing.
            told: Whether it was told.
        """
        newest = self._newest()
        noted = self._noted(alert) if alert else None
        if alert is not None and (told or noted is not None):
            self._write(
                self._key(alert),
                _after(partition, noted, told=told, due=is_due(partition, noted, newest)),
            )
        # nobody knows of what was neither told now nor before: the next batch tells
        if newest is None or newest < partition:
            self._store.write(f"{self._folder}/newest.json", canonical_bytes({"seen": partition}))

    def _newest(self) -> str | None:
        found = self._read(f"{self._folder}/newest.json")
        return found["seen"] if found else None

    def _noted(self, alert: Alert) -> Noted | None:
        key = self._key(alert)
        found = self._read(key)
        if found is None:
            return None
        if not isinstance(found.get("told"), str):
            _damaged(key)
            return None
        return Noted(told=found["told"], seen=found["seen"], owed=found.get("owed") is True)

    def _write(self, key: str, noted: Noted) -> None:
        said = {"told": noted.told, "seen": noted.seen}
        self._store.write(key, canonical_bytes(said | ({"owed": True} if noted.owed else {})))

    def _key(self, alert: Alert) -> str:
        against = f"-{_short(alert.reference, 8)}" if alert.reference else ""
        return f"{self._folder}/{_short(alert.cause, 16)}{against}.json"

    def _read(self, key: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._store.read(key))
            if isinstance(found["seen"], str):
                return dict(found)
        except NotFound:
            return None
        except (KeyError, TypeError, ValueError):
            pass
        _damaged(key)
        return None


def _after(partition: str, noted: Noted | None, *, told: bool, due: bool) -> Noted:
    """What is known of a cause after a batch in which it was found."""
    if told or noted is None:
        return Noted(told=partition, seen=max(partition, noted.seen if noted else ""))
    if due:  # they could not be told: as if it had not been found, but for what is owed
        return Noted(told=noted.told, seen=noted.seen, owed=True)
    return Noted(told=noted.told, seen=max(partition, noted.seen), owed=noted.owed)


def _short(of: str, letters: int) -> str:
    return of.removeprefix("sha256:")[:letters]


def _damaged(key: str) -> None:
    _log.warning("%s is damaged: people may be told again", key)
