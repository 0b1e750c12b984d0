"""The rules that hold where a team has declared none of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbeat.identity import RunIdentity
from backbeat.ports import Verdict

__all__ = ["BuiltinPolicy"]


class BuiltinPolicy:
    """Anonymous means refused, and a backfill promotes nothing unless it was asked to."""

    def decide(self, action: str, *, identity: RunIdentity, facts: Mapping[str, Any]) -> Verdict:
        """Decide from the identity and the facts alone.

        Args:
            action: Such as `step.start` or `model.promote`.
            identity: The attempt that asks.
            facts: `model.promote` reads `in_backfill`: whether the step asks for it.
        """
        if identity.actor.method == "anonymous":
            return Verdict(
                allowed=False, reason="whoever started this is anonymous, which is refused"
            )
        if action == "model.promote" and identity.backfill and not facts.get("in_backfill"):
            return Verdict(
                allowed=False, reason="a backfill promotes nothing unless it says in_backfill"
            )
        return Verdict(allowed=True, reason="the built-in rules allow it")
