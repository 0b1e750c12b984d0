"""The protocols that are known, by the name that an address begins with; one file each."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from backbeat.errors import InvalidStep

if TYPE_CHECKING:
    from backbeat.inference.protocol import ModelProtocol

__all__ = ["GROUP", "known_protocols", "protocol_named"]

GROUP = "backbeat.inference_protocols"

# where the protocols that ship are; a class is imported when an address first names it
_SHIPPED = {
    "bentoml": "backbeat.inference.protocols.bentoml:BentoML",
    "kserve-v1": "backbeat.inference.protocols.kserve_v1:KServeV1",
    "mlflow": "backbeat.inference.protocols.mlflow:MLflow",
    "oip": "backbeat.inference.protocols.oip:OpenInference",
    "openai": "backbeat.inference.protocols.openai:OpenAI",
    "ray-serve": "backbeat.inference.protocols.ray_serve:RayServe",
    "seldon-v1": "backbeat.inference.protocols.seldon_v1:SeldonV1",
    "torchserve": "backbeat.inference.protocols.torchserve:TorchServe",
}
# no address begins with it: see `backbeat.inference.address.is_in_process`
_LOCAL = {"in-process": "backbeat.inference.protocols.in_process:InProcess"}


def known_protocols() -> list[str]:
    """Names of all protocols, those of installed packages too."""
    return sorted({*_SHIPPED, *_registered()})


@cache
def protocol_named(name: str) -> ModelProtocol:
    """The protocol that addresses of this name speak; one that ships cannot be replaced.

    Raises:
        InvalidStep: A package registered it, and it does not load.
    """
    ours = _SHIPPED | _LOCAL
    if name in ours:
        module, _, member = ours[name].partition(":")
        shipped: ModelProtocol = getattr(import_module(module), member)()
        return shipped
    found = _registered()[name]
    try:
        registered: ModelProtocol = found.load()()
    except Exception as error:
        raise InvalidStep(
            f"The protocol {name!r} is registered as {found.value} and does not load: {error}.",
            hint="repair or remove the package that registers it",
        ) from error
    return registered


@cache
def _registered() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=GROUP)}
