"""Features of text that need no language: sizes, classes of characters, and one drawn word."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backbeat.drift._derive import TextFeatures
from backbeat.drift._scan import Categories, Floats, Numbers
from backbeat.errors import InvalidData

__all__ = ["TEXT_FEATURES", "text_features"]

Words = npt.NDArray[np.uint64]

TEXT_FEATURES = ("length", "words", "word_length", "digits", "upper", "punctuation", "non_ascii")

_ASCII = 128
_DIGIT, _UPPER, _PUNCTUATION, _SPACE = 1, 2, 4, 8
_PRIME = 0x100000001B3
_MASK = 2**64 - 1
_classes: dict[int, int] = {}


def text_features(
    column: pa.ChunkedArray, how: TextFeatures
) -> Iterator[tuple[str, Numbers | Categories]]:
    """Per row: length in characters, words, mean word length, and shares of the characters.

    Words are what white space separates. The category `token` is the bucket of the row's word
    with the smallest hash: every row draws one of its words by a rule that does not change, so
    that a changed vocabulary changes the buckets' shares (Broder 1997). Rows without characters
    have no shares, rows without words no word length and no token.

    Raises:
        InvalidData: A string is not UTF-8.
    """
    valid = np.asarray(pc.is_valid(column))
    present = pc.drop_null(column).cast(pa.large_string()).combine_chunks()
    if isinstance(present, pa.ChunkedArray):
        present = pa.concat_arrays(present.chunks) if present.num_chunks else pa.array([], "str")
    characters = _characters(present, how.column)
    length = pc.utf8_length(present).to_numpy().astype(np.int64)
    ends = np.cumsum(length)
    starts = ends - length
    classes = _classified(characters)
    filled = valid.copy()
    filled[valid] = length > 0
    size = length[length > 0]
    first, past, owner = _words(classes, starts, length)
    words = np.bincount(owner, minlength=length.size)
    letters = np.bincount(owner, weights=past - first, minlength=length.size)
    worded = valid.copy()
    worded[valid] = words > 0
    yield "length", Numbers(length.astype(np.float64), valid)
    yield "words", Numbers(words.astype(np.float64), valid)
    yield "word_length", Numbers(letters[words > 0] / words[words > 0], worded)
    for name, flags in (
        ("digits", classes & _DIGIT),
        ("upper", classes & _UPPER),
        ("punctuation", classes & _PUNCTUATION),
        ("non_ascii", characters >= _ASCII),
    ):
        yield name, Numbers(_per_row(flags != 0, starts, length) / size, filled)
    hashes = _hashed(characters, first, past, how.seed)
    # the words come in the order of their rows
    heads = np.flatnonzero(np.diff(owner, prepend=-1))
    drawn = np.minimum.reduceat(hashes, heads) if heads.size else hashes
    buckets = (drawn % np.uint64(how.buckets)).astype(np.int64)
    names = pa.array([f"{bucket:02d}" for bucket in range(how.buckets)], pa.string())
    yield "token", Categories(buckets, names, worded)


def _characters(present: pa.Array, name: str) -> npt.NDArray[np.uint32]:
    _, offsets, data = present.buffers()
    if data is None or not len(present):
        return np.empty(0, dtype=np.uint32)
    bounds = np.frombuffer(offsets, dtype=np.int64)[present.offset :][: len(present) + 1]
    raw = memoryview(data)[int(bounds[0]) : int(bounds[-1])]
    try:
        text = str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidData(
            f"The text of {name!r} is not UTF-8: {error.reason}.",
            hint="write the column as UTF-8 strings",
        ) from error
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _classified(characters: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    if not characters.size:
        return np.empty(0, dtype=np.uint8)
    table = np.zeros(int(characters.max()) + 1, dtype=np.uint8)
    seen = np.flatnonzero(np.bincount(characters))
    table[seen] = [_class(code) for code in seen.tolist()]
    return table[characters]


def _class(code: int) -> int:
    found = _classes.get(code)
    if found is None:
        letter = chr(code)
        kind = unicodedata.category(letter)
        found = _classes[code] = (
            _DIGIT * (kind == "Nd")
            + _UPPER * (kind == "Lu")
            + _PUNCTUATION * kind.startswith("P")
            + _SPACE * letter.isspace()
        )
    return found


def _words(
    classes: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each word starts and ends among the characters, and the row it belongs to."""
    solid = (classes & _SPACE) == 0
    edge = np.zeros(classes.size + 1, dtype=np.bool_)
    edge[starts[length > 0]] = True
    edge[classes.size] = True
    before = np.append(False, solid[:-1])
    first = np.flatnonzero(solid & (~before | edge[:-1]))
    after = np.append(solid[1:], False)
    past = np.flatnonzero(solid & (~after | edge[1:])) + 1
    owner = np.searchsorted(starts + length, first, side="right")
    return first, past, owner


def _per_row(
    flags: npt.NDArray[np.bool_], starts: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
) -> Floats:
    if not flags.size:
        return np.empty(0)
    counts = np.add.reduceat(flags, starts[length > 0], dtype=np.int64)
    return counts.astype(np.float64)


def _hashed(
    characters: npt.NDArray[np.uint32],
    first: npt.NDArray[np.int64],
    past: npt.NDArray[np.int64],
    seed: int,
) -> Words:
    """A polynomial hash of every word modulo 2**64, mixed (Steele, Lea and Flood 2014)."""
    if not first.size:
        return np.empty(0, dtype=np.uint64)
    longest = int((past - first).max())
    powers = np.cumprod(np.full(longest, _PRIME, dtype=np.uint64), dtype=np.uint64)
    inside = np.zeros(characters.size + 1, dtype=np.int64)
    inside[first] += 1
    inside[past] -= 1
    solid = np.flatnonzero(np.cumsum(inside[:-1]))
    begin = np.repeat(first, past - first)
    letters = _mixed(characters[solid].astype(np.uint64) + np.uint64((seed * _PRIME) & _MASK))
    heads = np.concatenate([[0], np.cumsum(past - first)[:-1]])
    return _mixed(np.add.reduceat(letters * powers[solid - begin], heads))


def _mixed(value: Words) -> Words:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = value ^ (value >> np.uint64(31))
    return mixed
