"""What an `InferenceResource` answers: a table, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.prediction import Provenance

__all__ = ["Predictions"]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A model's answers.

    Args:
        table: One row for each row that was asked about, in the same order; one column for each
            output, and `route` where the resource has `at_least`.
        provenance: Where they come from, one a request to the model itself.
        calls: Requests that were answered, those to a `doubtful` model too.
        cost: What they cost, by the resource's prices.
    """

    table: pa.Table
    provenance: Sequence[Provenance]
    calls: int
    cost: float

    @property
    def metadata(self) -> dict[str, Any]:
        """The same for people and for `MaterializeResult(metadata=...)`, without any row."""
        models = dict.fromkeys((each.address, each.version) for each in self.provenance)
        return {
            "rows": len(self.table),
            "calls": self.calls,
            "retries": sum(each.attempts - 1 for each in self.provenance),
            "cost": round(self.cost, 6),
            "model": ", ".join(address for address, _ in models),
            "version": ", ".join(version for _, version in models),
        }
