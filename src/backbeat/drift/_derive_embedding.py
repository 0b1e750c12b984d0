"""Features of a vector: its length, and its direction on a few fixed random axes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backbeat.drift._derive import EmbeddingFeatures
from backbeat.drift._scan import Floats, Numbers
from backbeat.errors import ContractBroken

__all__ = ["axes", "embedding_features"]

_UNIT = 2.0**30


def axes(how: EmbeddingFeatures) -> Floats:
    """The axes, dimension x projections, of +1 and -1; the same on every machine for ever."""
    size = how.dimension * how.projections
    bits = hashlib.shake_256(f"backbeat.embedding/{how.seed}".encode()).digest((size + 7) // 8)
    signs = np.unpackbits(np.frombuffer(bits, dtype=np.uint8))[:size]
    return signs.reshape(how.projections, how.dimension).T.astype(np.float64) * 2 - 1


def embedding_features(
    column: pa.ChunkedArray, how: EmbeddingFeatures, directions: Floats
) -> Iterator[tuple[str, Numbers]]:
    """Per row: the Euclidean norm, and the unit vector's coordinate on every axis.

    The vector is scaled to length 1 and not centred: then the norm holds all that is known of its
    size, the coordinates only its direction, and nothing has to be fitted. (A shift of all
    coordinates, which centring would take away, leaves the comparison of two samples as it is.)
    Its components are rounded to 2**-30 before they are added, so that the sums are exact and no
    order of adding matters. A vector of zeros has no direction.

    Args:
        column: Lists of floats.
        how: The frozen parameters.
        directions: Its `axes`.

    Raises:
        ContractBroken: A vector has another dimension.
    """
    valid = np.asarray(pc.is_valid(column))
    vectors = _matrix(pc.drop_null(column), how)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.sqrt(np.square(vectors).sum(axis=1))
        unit = np.rint(vectors / norm[:, None] * _UNIT)
        placed = unit @ directions / _UNIT
    yield "norm", Numbers(norm, valid)
    directed = valid.copy()
    directed[valid] = norm > 0
    directed[valid] |= np.isnan(norm)
    kept = directed[valid]
    for axis in range(how.projections):
        yield f"axis{axis + 1}", Numbers(np.ascontiguousarray(placed[kept, axis]), directed)


def _matrix(present: pa.ChunkedArray, how: EmbeddingFeatures) -> npt.NDArray[np.float64]:
    if not len(present):
        return np.empty((0, how.dimension))
    if pa.types.is_fixed_size_list(present.type):
        found = {present.type.list_size}
    else:
        found = set(pc.unique(pc.list_value_length(present)).to_pylist())
    wrong = sorted(found - {how.dimension})
    if wrong:
        raise ContractBroken(
            f"The embedding {how.column!r} has {wrong[0]} dimensions where the profile's have "
            f"{how.dimension}.",
            hint="another model wrote the vectors: build a new reference profile for it",
        )
    flat = pc.list_flatten(present)
    values = np.asarray(flat.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return values.reshape(len(present), how.dimension)
