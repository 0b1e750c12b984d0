"""Telling once: what a monitor's people have been told, so that no night repeats the last one."""

from __future__ import annotations

import json
import logging
from typing import Any

from backbeat.alerts.alert import Alert
from backbeat.canonical import canonical_bytes
from backbeat.data.key import clean_key
from backbeat.drift.marks import day_of
from backbeat.errors import NotFound
from backbeat.ports import Store

__all__ = ["Told"]

_REPEAT_DAYS = 7
_log = logging.getLogger(__name__)


class Told:
    """What was told about one monitor: `<monitor>/alerts/<step>/<cause>.json`, a file a cause.

    A cause is told again in a week, or after a batch in which it was not there. It is noted after
    it was told: where a worker dies between the two, or two tell at once, people hear it twice.

    Args:
        store: Where the monitor is.
        monitor: Its prefix.
        kind: The kind of step that finds something; each sees its own batches.
    """

    def __init__(self, store: Store, monitor: str, kind: str) -> None:
        self._store = store
        self._folder = f"{clean_key(monitor)}/alerts/{kind.partition('/')[0]}"

    def is_news(self, alert: Alert) -> bool:
        """Whether people have not been told this yet."""
        last = self._last(self._key(alert.cause))
        if last is None:
            return True
        told, seen = last["told"], last["seen"]
        if alert.partition <= seen:
            return False
        before, now = day_of(told), day_of(alert.partition)
        if before is None or now is None:
            return False
        newest = self._newest()
        # another batch was checked since, and this was not found in it
        gone = newest is not None and newest > seen and newest < alert.partition
        return gone or (now - before).days >= _REPEAT_DAYS

    def note(self, partition: str, alert: Alert | None, *, told: bool) -> None:
        """Remember what was found in a batch, and whether people were told.

        Args:
            partition: The batch.
            alert: What was found; None for nothing.
            told: Whether it was told.
        """
        newest = self._newest()
        if newest is None or newest < partition:
            self._store.write(f"{self._folder}/newest.json", canonical_bytes({"seen": partition}))
        if alert is None:
            return
        key = self._key(alert.cause)
        last = self._last(key)
        if not told and last is None:
            return  # nobody knows of it: the next batch tells
        said = partition if told or last is None else last["told"]
        entry = {"cause": alert.cause, "told": said, "seen": max(partition, said)}
        self._store.write(key, canonical_bytes(entry))

    def _newest(self) -> str | None:
        found = self._last(f"{self._folder}/newest.json")
        return None if found is None else str(found["seen"])

    def _key(self, cause: str) -> str:
        return f"{self._folder}/{cause.removeprefix('sha256:')[:16]}.json"

    def _last(self, key: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._store.read(key))
            if isinstance(found.get("seen"), str):
                return dict(found)
        except NotFound:
            return None
        except (AttributeError, ValueError):
            pass
        _log.warning("%s is damaged: people may be told again", key)
        return None
