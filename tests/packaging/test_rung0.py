"""Rung 0 as its page shows it: one extra, a folder, and the user's own model library."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rung0.md"
Clean = Callable[[str, str], Callable[[str], str]]

_ABSENT = "mlflow, great_expectations, obstore, fsspec, psycopg, starlette, airflow, dagster"


def test_the_page_runs_with_one_extra_and_a_folder(clean: Clean, uv: str, tmp_path: Path) -> None:
    """`pip install backbeat[drift]` and scikit-learn: contract, drift, training, scores."""
    run = clean("backbeat[drift]", "core.txt")
    python = run("import sys; print(sys.executable)")
    command = [uv, "pip", "install", "-q", "-p", python, "scikit-learn"]
    pins = ["-c", str(ROOT / "requirements" / "core.txt")]
    subprocess.run([*command, *pins], check=True)
    module, script = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2]
    (tmp_path / "nightly.py").write_text(module)
    code = f"import os, sys\nos.chdir({str(tmp_path)!r})\nsys.path.insert(0, '')\n{script}"
    said = [json.loads(run(code).replace("'", '"')) for _ in range(2)]
    first = {"drift": "stable", "comparison": "better", "scored": 2000, "reused": 0}
    assert said == [first, {**first, "reused": 4}]
    written = {
        path.relative_to(tmp_path / "platform").parts[0]
        for path in tmp_path.rglob("*.*")
        if "platform" in path.parts and path.is_file()
    }
    assert written == {"landing", "profiles", "reports", "scores"}
    found = run(
        "import importlib.util as u\n"
        f"print([name for name in {_ABSENT!r}.split(', ') if u.find_spec(name)])"
    )
    assert found == "[]"
    hint = run(
        "from backbeat.data import open_store\n"
        "from backbeat.errors import UnmetNeed\n"
        "try: open_store('s3://bucket')\n"
        "except UnmetNeed as error: print(error.hint)"
    )
    assert hint == 'pip install "backbeat[bucket]"'
