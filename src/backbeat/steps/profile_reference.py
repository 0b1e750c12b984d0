"""The profile that a reference means: a store key, or what is bound to a model version."""

from __future__ import annotations

from typing import Protocol

from backbeat.errors import NotFound
from backbeat.ports import Registry

__all__ = ["profile_key"]

_MODEL = "models:/"


class _HasRegistry(Protocol):
    @property
    def registry(self) -> Registry: ...


def profile_key(platform: _HasRegistry, reference: str) -> str | None:
    """The store key of a profile.

    Args:
        platform: What has the registry; asked only where a model is named.
        reference: A store key, or `models:/<name>/<version>` or `models:/<name>@<alias>`.

    Returns:
        None where the alias does not exist yet: before a model's first version there is nothing
        to compare with.

    Raises:
        NotFound: The model does not exist, or no profile is bound to it.
    """
    if not reference.startswith(_MODEL):
        return reference
    name, _, alias = reference.removeprefix(_MODEL).partition("@")
    if alias and platform.registry.alias(name, alias) is None:
        return None
    version = platform.registry.resolve(reference)
    key = version.tags.get("backbeat.profile")
    if key is None:
        raise NotFound(
            f"no profile is bound to {version.uri}",
            hint="run BuildProfile with model= that version, or name a profile as reference",
        )
    return key
