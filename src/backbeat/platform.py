"""The platform: the ports that steps run on, each built when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TypeVar

from backbeat.errors import UnmetNeed
from backbeat.ports import Ledger, Need, Policy, Registry, Sink, Store

__all__ = ["Platform"]

Port = TypeVar("Port")
Progress = Callable[[int, int, str], None]

_REMEDY = {
    Need.STORE: "give the platform a folder",
    Need.REGISTRY: "set the tracking URI of an MLflow registry",
    Need.LEDGER: "give the platform a ledger file, or use a step that works without one",
}


def _no_credentials(name: str) -> Mapping[str, str]:
    raise UnmetNeed(
        f"there are no credentials {name!r}",
        hint="name a connection of the orchestrator, or set BACKBEAT_CREDENTIALS_<NAME>",
    )


class Platform:
    """A set of lazily built ports; building it does no input or output.

    Args:
        store: Builds the store.
        policy: Builds the policy.
        ledger: Builds the ledger; None is rung 0, where nothing is recorded but files.
        unrecorded: Builds the ledger's stand-in at rung 0.
        registry: Builds the model registry.
        sinks: Builds the outbox's sinks by topic.
        namespace: OpenLineage job namespace.
        progress: Told how far long work is: done, total, of what.
        credentials: Looks up who we are to a server, by a name: `bearer`, `user` and `password`,
            `header` and `value`, or `token_url`, `client_id` and `client_secret`; and for TLS
            the paths `authorities`, `certificate` and `key`.
        description: What `doctor` and error messages call this platform.
    """

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        unrecorded: Callable[[Mapping[str, Sink]], Ledger],
        store: Callable[[], Store] | None = None,
        ledger: Callable[[], Ledger] | None = None,
        registry: Callable[[], Registry] | None = None,
        sinks: Callable[[], Mapping[str, Sink]] = dict,
        namespace: str = "backbeat",
        progress: Progress | None = None,
        credentials: Callable[[str], Mapping[str, str]] | None = None,
        description: str = "a platform",
    ) -> None:
        self._store = store
        self._policy = policy
        self._ledger = ledger
        self._unrecorded = unrecorded
        self._registry = registry
        self._sinks = sinks
        self.namespace = namespace
        self.progress = progress
        self.credentials = credentials or _no_credentials
        self.description = description

    @property
    def offers(self) -> frozenset[Need]:
        """The needs that this platform meets, known without any input or output."""
        built = {Need.STORE: self._store, Need.LEDGER: self._ledger, Need.REGISTRY: self._registry}
        return frozenset(need for need, factory in built.items() if factory is not None)

    def require(self, needs: Collection[Need], *, what: str) -> None:
        """Refuse before any work where a need is not met.

        Args:
            needs: What is asked for.
            what: Who asks, for the message.

        Raises:
            UnmetNeed: Names the missing part and its rung.
        """
        missing = sorted(set(needs) - self.offers)
        if missing:
            need = missing[0]
            raise UnmetNeed(
                f"{what} needs a {need.value} (rung {need.rung}), and {self.description} has none",
                hint=_REMEDY[need],
            )

    @cached_property
    def store(self) -> Store:
        """The store; raises UnmetNeed where there is none."""
        return self._built(Need.STORE, self._store)

    @cached_property
    def registry(self) -> Registry:
        """The model registry; raises UnmetNeed where there is none."""
        return self._built(Need.REGISTRY, self._registry)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, or at rung 0 its stand-in, which records nothing and sends lineage on."""
        return self._unrecorded(self.sinks) if self._ledger is None else self._ledger()

    @cached_property
    def policy(self) -> Policy:
        """The policy."""
        return self._policy()

    @cached_property
    def sinks(self) -> Mapping[str, Sink]:
        """Where outgoing messages go, by topic."""
        return self._sinks()

    def _built(self, need: Need, factory: Callable[[], Port] | None) -> Port:
        if factory is None:
            self.require([need], what="this step")
            raise AssertionError(need)  # unreachable: require has raised
        return factory()
