"""What a step sees while it performs: its declared ports, its pinned inputs, its effect ids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from backbeat.canonical import digest
from backbeat.errors import UnmetNeed
from backbeat.identity import RunIdentity
from backbeat.platform import Platform
from backbeat.ports import Budget, Ledger, Need, Policy, Registry, Store
from backbeat.step import Step

__all__ = ["PerformContext"]

_log = logging.getLogger("backbeat")


class PerformContext:
    """The StepContext that the runner hands to `perform`.

    Args:
        step: Whose declared needs are exposed.
        identity: The attempt.
        platform: Where the ports come from.
        waited_for: See StepContext.
    """

    def __init__(
        self,
        step: Step,
        identity: RunIdentity,
        platform: Platform,
        *,
        waited_for: frozenset[str] | None = None,
    ) -> None:
        self._step = step
        self._platform = platform
        self.identity = identity
        self.waited_for = waited_for
        self.key = ""
        self.inputs: Mapping[str, str] = {}
        self.still_ours: Callable[[], None] = lambda: None

    @property
    def store(self) -> Store:
        """The store, where the step declared it."""
        self._declared(Need.STORE)
        return self._platform.store

    @property
    def registry(self) -> Registry:
        """The model registry, where the step declared it."""
        self._declared(Need.REGISTRY)
        return self._platform.registry

    @property
    def ledger(self) -> Ledger:
        """The ledger, where the step declared it."""
        self._declared(Need.LEDGER)
        return self._platform.ledger

    @property
    def policy(self) -> Policy:
        """The policy, asked again right before an effect."""
        return self._platform.policy

    def effect_id(self, name: str, *, content: Any = None) -> str:
        """The deterministic id of one external effect; see StepContext."""
        scope = self.key if content is None else content
        return digest({"effect": name, "kind": self._step.kind, "scope": scope})

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Spend from what all workers share; no step need declare it, for rung 0 has it too."""
        return self._platform.ledger.spend(budget, cost=cost, earned=earned)

    def credentials(self, name: str) -> Mapping[str, str]:
        """Credentials by their name."""
        return self._platform.credentials(name)

    def progress(self, done: int, total: int, what: str) -> None:
        """Tell people how far long work is."""
        if self._platform.progress is not None:
            self._platform.progress(done, total, what)
        else:
            _log.info("%s: %d of %d %s", self._step.kind, done, total, what)

    def ensure_current(self) -> None:
        """Raise FencedOut where a later attempt has taken over."""
        self.still_ours()

    def _declared(self, need: Need) -> None:
        if need not in self._step.needs:
            raise UnmetNeed(
                f"{self._step.kind} uses a {need.value} that it did not declare in `needs`",
                hint=f"add Need.{need.name} to {type(self._step).__name__}.needs",
            )
