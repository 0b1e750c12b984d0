"""What the provider says about itself."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from backbeat_provider.provider_info import get_provider_info

_HEAVY = ("numpy", "pandas", "pyarrow", "mlflow", "great_expectations", "sklearn", "scipy")


def _fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_it_is_what_airflows_schema_wants() -> None:
    """Airflow refuses a provider whose info does not validate."""
    import airflow
    import jsonschema

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_entry_point_is_there() -> None:
    """Airflow finds the provider by its entry point, once it is installed."""
    found = [
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.value.startswith("backbeat_provider")
    ]
    assert [point.load() for point in found] == [get_provider_info]


def test_everything_that_it_names_exists() -> None:
    """Each module, class and decorator in it can be imported."""
    info = get_provider_info()
    for part in ("operators", "hooks", "triggers"):
        for module in info[part][0]["python-modules"]:
            importlib.import_module(module)
    classes = [
        info["connection-types"][0]["hook-class-name"],
        info["task-decorators"][0]["class-name"],
        *info["extra-links"],
    ]
    for path in classes:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_every_operator_is_named() -> None:
    """A new operator module cannot be forgotten in the provider info."""
    from backbeat_provider import operators

    homes = {f"backbeat_provider.operators.{home}" for home in operators._HOMES.values()}
    assert homes == set(get_provider_info()["operators"][0]["python-modules"])
    assert operators.__all__ == sorted(operators.__all__) == sorted(operators._HOMES)


def test_asking_imports_no_airflow() -> None:
    """Airflow asks while it is being imported itself: an import of it from here is a circle."""
    code = (
        "import sys, backbeat_provider.provider_info as p; p.get_provider_info();"
        "print([m for m in sys.modules if m.split('.')[0] == 'airflow'])"
    )
    assert _fresh(code) == "[]"


def test_the_operators_bring_nothing_heavy() -> None:
    """On top of Airflow's own import, every operator together loads no heavy library."""
    code = (
        "import sys\n"
        "import airflow.sdk\n"
        "from airflow.sdk import BaseOperator, XComArg\n"
        "before = set(sys.modules)\n"
        "import backbeat_provider.operators as o\n"
        "from backbeat.kinds import KINDS, step_class\n"
        "[getattr(o, name) for name in o.__all__]\n"
        "[step_class(kind) for kind in KINDS]\n"
        "import backbeat_provider.decorators.candidate\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        f"print(sorted(new & {{*{_HEAVY!r}, 'sqlalchemy'}}))"
    )
    assert _fresh(code) == "[]"


def test_the_connection_form_is_made_of_the_settings() -> None:
    """The form has a field for each setting of a platform, and none of Airflow's own."""
    from backbeat.wiring.settings import SETTINGS

    code = (
        "import json\n"
        "from airflow.api_fastapi.core_api.services.ui import connections\n"
        "form, = [f for f in connections.HookMetaService.hook_meta_data()\n"
        "         if f.connection_type == 'backbeat']\n"
        "hidden = form.standard_fields.model_dump()\n"
        "print(json.dumps([sorted(form.extra_fields), hidden['password']['hidden']]))"
    )
    assert json.loads(_fresh(code)) == [sorted(SETTINGS), True]
