"""The factories' signatures are the steps' fields, written out."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

import dagster_backbeat as bb
from backbeat import steps

PAIRS = [
    (bb.quality_checks, steps.QualityCheck),
    (bb.drift_check, steps.DriftCheck),
    (bb.performance_check, steps.PerformanceCheck),
    (bb.profile_asset, steps.BuildProfile),
    (bb.candidate_model, steps.RegisterCandidate),
    (bb.comparison_check, steps.CompareModels),
    (bb.signoff_gate, steps.Signoff),
    (bb.promoted_model, steps.PromoteModel),
    (bb.inference_asset, steps.BatchInference),
    (bb.lineage_asset, steps.LogLineage),
    (bb.Training, steps.TrainModel),
]
# Dagster's own part of a signature
OURS = {
    *("asset", "on", "name", "deps", "when", "description"),
    "deferrable",
    *("partitions_def", "group_name", "resource_key", "pool"),
}


def _default(parameter: inspect.Parameter) -> Any:
    default = parameter.default
    if isinstance(default, type(dataclasses.MISSING)) or repr(default) == "<factory>":
        return {}
    return default


@pytest.mark.parametrize(("factory", "step"), PAIRS, ids=lambda item: item.__name__)
def test_names_and_defaults(factory: Any, step: Any) -> None:
    """Every field of the step is a keyword of the factory with the same default, and no other."""
    parameters = inspect.signature(factory).parameters
    assert set(parameters) - OURS == set(step.model_fields)
    for name, field in step.model_fields.items():
        parameter = parameters[name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        if field.is_required():
            assert parameter.default is inspect.Parameter.empty
        else:
            expected = field.get_default(call_default_factory=True)
            assert expected is not PydanticUndefined
            given = _default(parameter)
            assert (given or None) == (expected or None)


@pytest.mark.parametrize("factory", [pair[0] for pair in PAIRS], ids=lambda item: item.__name__)
def test_everything_is_typed(factory: Any) -> None:
    """No parameter is without an annotation."""
    for name, parameter in inspect.signature(factory).parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty, name


def test_public_names() -> None:
    """`__all__` is sorted, and every name in it can be had."""
    assert bb.__all__ == sorted(bb.__all__, key=lambda name: (name.islower(), name))
    assert all(hasattr(bb, name) for name in bb.__all__)
