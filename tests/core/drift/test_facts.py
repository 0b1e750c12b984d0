"""The few numbers that a report shows of a column beside its picture."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import build_profile
from backbeat.drift._facts import facts_of

VALUES = np.random.default_rng(7).normal(10.0, 2.0, 5_000)


@pytest.mark.parametrize(("factor", "side"), [(3.0, "above"), (-3.0, "below")])
def test_a_median_outside_the_edges_is_told_by_its_side(factor: float, side: str) -> None:
    """Beyond the reference's values nothing is counted apart: the largest one is no median."""
    old = build_profile(ds.dataset(pa.table({"x": VALUES})))
    new = build_profile(ds.dataset(pa.table({"x": VALUES * factor})), edges_from=old)
    facts = {name: (one, two) for name, one, two in facts_of(old.columns["x"], new.columns["x"])}
    reference, batch = facts["Median"]
    assert float(reference) == pytest.approx(np.median(VALUES), abs=0.05)
    assert batch.startswith(side)
    assert float(facts["Mean"][1]) == pytest.approx(np.mean(VALUES) * factor, abs=0.05)
