from __future__ import annotations

import struct
import sys
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import Decision, Profile, build_profile, decide
from backbeat.drift.report import report_png
from backbeat.drift.verdict import BandPoint
from backbeat.errors import UnmetNeed

Sides = tuple[Decision, Profile, Profile]


@pytest.fixture(scope="module")
def sides() -> Sides:
    rng = np.random.default_rng(4)

    def table(moved: float) -> pa.Table:
        return pa.table(
            {f"x{at} $\\frac{{1}}$ \u202e": rng.normal(moved, 1, 2_000) for at in range(8)}
            | {
                "名前 $": rng.choice(
                    ["$a", "b_$", "\u202ec"], 2_000, p=[0.8 - moved / 2, 0.1, 0.1 + moved / 2]
                )
            }
        )

    reference = build_profile(ds.dataset(table(0)))
    current = build_profile(ds.dataset(table(1)), edges_from=reference)
    decision = decide(reference, current)
    history = tuple(
        BandPoint(partition=f"day {at}", value=None if at == 3 else 0.02) for at in range(9)
    )
    columns = tuple(
        column.model_copy(update={"history": history, "band": 0.04}) if at else column
        for at, column in enumerate(decision.columns)
    )
    return decision.model_copy(update={"columns": columns}), reference, current


def test_without_matplotlib_it_says_what_to_install(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing library is a need with the command that meets it, not an ImportError."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnmetNeed, match=r"backbeat\[report\]"):
        report_png(*sides)


def test_the_picture_shows_six_columns_whatever_they_are_called(sides: Sides) -> None:
    """Names are no formulas and no alarm in the log; the height follows the columns drawn."""
    pytest.importorskip("matplotlib", reason='pip install "backbeat[report]"')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = report_png(*sides)
    width, height = _size(picture)
    assert width == 1200
    decision, reference, current = sides
    quiet = decision.model_copy(update={"columns": decision.columns[:1]})
    rows = (height - _size(report_png(quiet, reference, current))[1]) / 5
    assert rows == pytest.approx(1.95 * 120, abs=1)
    assert len(picture) < 400_000


def test_equal_decisions_give_equal_pictures(sides: Sides) -> None:
    """A retry writes the same bytes."""
    pytest.importorskip("matplotlib", reason='pip install "backbeat[report]"')
    assert report_png(*sides) == report_png(*sides)


def test_an_empty_batch_has_a_picture(sides: Sides) -> None:
    """Nothing to draw is said, not an error."""
    pytest.importorskip("matplotlib", reason='pip install "backbeat[report]"')
    _, reference, _ = sides
    nothing = pa.table({name: pa.array([], pa.float64()) for name in list(reference.columns)[:8]})
    current = build_profile(ds.dataset(nothing), columns=nothing.column_names, edges_from=reference)
    assert _size(report_png(decide(reference, current), reference, current))[0] == 1200


def _size(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height
