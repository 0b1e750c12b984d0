"""The code location: every pipeline in `defs/`."""

from __future__ import annotations

from pathlib import Path

from dagster import Definitions, definitions, load_from_defs_folder

__all__ = ["defs"]


@definitions
def defs() -> Definitions:
    """Load what lies in `defs/`."""
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
