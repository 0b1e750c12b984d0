"""Importing costs nearly nothing: heavy libraries are loaded where they are used."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("mlflow", "great_expectations", "pandas", "numpy", "pyarrow", "sklearn", "scipy", "skops")


def _loaded(code: str) -> set[str]:
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_the_steps_load_no_heavy_library() -> None:
    """Every Step class can be imported, and so checked at DAG parse, without a heavy library."""
    code = "from backbeat import steps\n[getattr(steps, name) for name in steps.__all__]"
    assert not _loaded(code) & {*HEAVY, "sqlalchemy", "openlineage"}


def test_the_platform_is_described_without_being_built(tmp_path: object) -> None:
    """Describing a platform touches neither the disk nor a heavy library."""
    folder = f"{tmp_path}/never"
    code = (
        f"import backbeat, os\nbackbeat.embedded({folder!r})\nassert not os.path.exists({folder!r})"
    )
    assert not _loaded(code) & {*HEAVY, "sqlalchemy", "openlineage"}


def test_the_public_face_is_lazy() -> None:
    """`import backbeat` alone loads not even pydantic."""
    assert not _loaded("import backbeat") & {*HEAVY, "pydantic", "sqlalchemy"}


def test_the_door_needs_no_data_library() -> None:
    """A step that reads no data runs without pandas, numpy and pyarrow."""
    code = (
        "import tempfile, backbeat\n"
        "from backbeat.steps import LogLineage\n"
        "run = backbeat.RunIdentity(workflow='w', run='r', task='t',\n"
        "    actor=backbeat.Actor(id='me', method='python'))\n"
        "backbeat.run_step(LogLineage(), run, backbeat.embedded(tempfile.mkdtemp()))"
    )
    assert not _loaded(code) & set(HEAVY)
