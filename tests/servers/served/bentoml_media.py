"""Methods of a BentoML service that take files, as its documentation has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from media_facts import facts

Png = Annotated[Path, ContentType("image/png")]


class MediaMethods:
    """Beside the methods that take numbers."""

    @bentoml.api
    def many(self, scans: list[Path], labels: list[str]) -> list[dict[str, Any]]:
        """A list of files, and a list of texts beside it."""
        return [
            {**facts(scan.read_bytes()), "label": label}
            for scan, label in zip(scans, labels, strict=True)
        ]

    @bentoml.api
    def one(self, scan: Png) -> list[dict[str, Any]]:
        """One file of one kind."""
        return [facts(scan.read_bytes())]

    @bentoml.api
    def body(self, scan: Png, /) -> list[dict[str, Any]]:
        """The file is the whole request."""
        return [facts(scan.read_bytes())]
