"""The images: linted, pinned, and every command of theirs run outside a container."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"[a-z0-9./:_-]+:[\w.-]+@sha256:[0-9a-f]{64}")
DEADLINE_SECONDS = 120
IMAGES = ["airflow", "dagster", "mlflow"]


def test_hadolint_finds_nothing(dockerfiles: dict[str, Any], tool: Callable[[str], str]) -> None:
    """Every Dockerfile passes hadolint with no rule turned off."""
    assert sorted(dockerfiles) == IMAGES
    paths = [str(dockerfile.path) for dockerfile in dockerfiles.values()]
    done = subprocess.run(
        [tool("hadolint"), "--failure-threshold", "style", *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert not any("hadolint ignore" in Path(path).read_text() for path in paths)


@pytest.mark.parametrize("image", IMAGES)
def test_every_base_is_pinned_by_its_digest(dockerfiles: dict[str, Any], image: str) -> None:
    """A stage starts from another stage, or from a tag with the digest beside it."""
    stages: set[str] = set()
    for text in dockerfiles[image].values("FROM"):
        source, name = text.split(" AS ")
        if source not in stages:
            assert PINNED.fullmatch(dockerfiles[image].argument(source[2:-1])), source
        stages.add(name)


def test_the_images_share_their_bases(dockerfiles: dict[str, Any]) -> None:
    """One digest of Python and one of uv, so that they are renewed together."""
    for name in ("PYTHON_IMAGE", "UV_IMAGE"):
        assert len({dockerfile.argument(name) for dockerfile in dockerfiles.values()}) == 1


def test_the_airflow_image_has_the_version_that_the_tests_run_with(
    dockerfiles: dict[str, Any],
) -> None:
    """The base image's tag is the pin in requirements/airflow.txt."""
    tag = dockerfiles["airflow"].argument("AIRFLOW_IMAGE").split(":")[1]
    pins = (ROOT / "requirements/airflow.txt").read_text().splitlines()
    assert f"apache-airflow=={tag.split('-')[0]}" in pins


def test_the_mlflow_image_has_the_version_that_the_tests_run_with() -> None:
    """Server and clients are of one version."""
    wanted = re.compile(r"^mlflow(?:-skinny)?==\S+$", re.MULTILINE)
    server = wanted.findall((ROOT / "docker/mlflow/requirements.txt").read_text())
    clients = wanted.findall((ROOT / "requirements/dagster.txt").read_text())
    assert server == clients != []


@pytest.mark.parametrize("image", IMAGES)
def test_no_image_ends_as_root(dockerfiles: dict[str, Any], image: str) -> None:
    """The last USER is a number that is not 0: Kubernetes can check it with `runAsNonRoot`."""
    assert int(dockerfiles[image].last("USER").split(":")[0]) > 0


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_says_about_itself(dockerfiles: dict[str, Any], image: str) -> None:
    """The labels of the OCI's image specification, a health check, and a command."""
    labels = " ".join(dockerfiles[image].values("LABEL"))
    for name in ("title", "description", "licenses", "source"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert dockerfiles[image].values("HEALTHCHECK")
    assert json.loads(dockerfiles[image].last("CMD"))


@pytest.mark.parametrize("image", IMAGES)
def test_the_context_holds_what_is_copied_and_no_more(
    dockerfiles: dict[str, Any], image: str
) -> None:
    """Each file that is copied from the repository is admitted, and nothing else is sent."""
    ignored = Path(f"{dockerfiles[image].path}.dockerignore").read_text().splitlines()
    admitted = sorted(line[1:] for line in ignored if line.startswith("!"))
    copied = {
        word
        for text in dockerfiles[image].values("COPY")
        if "--from=" not in text
        for word in text.split()[:-1]
        if not word.startswith("--")
    }
    assert ignored[0] == "*"
    assert sorted(copied) == admitted
    assert all((ROOT / path).exists() for path in admitted)


def test_the_airflow_image_runs(carried_out: Callable[[str], Any]) -> None:
    """Every RUN line succeeds; Airflow is not moved, and knows the provider and the example."""
    stage = carried_out("airflow")
    code = """
import importlib.metadata, json
from airflow.providers_manager import ProvidersManager
import flights.training, great_expectations, mlflow, obstore, psycopg, scipy, urllib3
print(json.dumps([
    importlib.metadata.version("apache-airflow"),
    "airflow-provider-backbeat" in ProvidersManager().providers,
]))
"""
    answered = _ask(stage, ["python", "-c", code])
    assert json.loads(answered.splitlines()[-1]) == [stage.variables["AIRFLOW_VERSION"], True]
    assert Path(stage.rooted("/var/lib/backbeat")).is_dir()
    assert Path(stage.rooted("/usr/local/bin/read-secrets")).stat().st_mode & 0o777 == 0o555


def test_the_dagster_image_serves_its_code_location(
    carried_out: Callable[[str], Any],
    dockerfiles: dict[str, Any],
    database: str,
    tmp_path: Path,
) -> None:
    """Every RUN line succeeds; the image's own command answers the image's own health check."""
    stage = carried_out("dagster")
    passwd = Path(stage.rooted("/etc/passwd")).read_text()
    assert "dagster:x:50000:0:" in passwd
    home = Path(stage.variables["DAGSTER_HOME"])
    settings = home / "dagster.yaml"
    # the volume of a container, which a test has somewhere else
    settings.write_text(settings.read_text().replace("/var/lib/dagster", str(tmp_path)))
    (tmp_path / "database").write_text(database)
    secret = {"DAGSTER_DATABASE_FILE": str(tmp_path / "database")}
    port = _free_port()
    command = json.loads(dockerfiles["dagster"].last("CMD"))
    check = json.loads(dockerfiles["dagster"].last("HEALTHCHECK").split("CMD ")[1])
    on_loopback = {"0.0.0.0": "127.0.0.1", "4000": str(port)}  # noqa: S104 - what is replaced

    def local(words: list[str]) -> list[str]:
        return [on_loopback.get(word, word) for word in words]

    _ask(stage, [*_entry(stage), "dagster", "instance", "migrate"], **secret)
    with _running(stage, [*_entry(stage), *local(command)], tmp_path / "log", **secret) as alive:
        _until(lambda: _succeeds(stage, local(check)), alive, tmp_path / "log")
    # the image's folder is read-only in a container
    assert sorted(path.name for path in home.iterdir()) == ["dagster.yaml", "workspace.yaml"]


def test_the_mlflow_image_serves(
    carried_out: Callable[[str], Any],
    dockerfiles: dict[str, Any],
    compose: dict[str, Any],
    database: str,
    tmp_path: Path,
) -> None:
    """Every RUN line succeeds; the service's command, which extends the image's, is well."""
    stage = carried_out("mlflow")
    assert "mlflow:x:50000:0:" in Path(stage.rooted("/etc/passwd")).read_text()
    command = json.loads(dockerfiles["mlflow"].last("CMD"))
    service = compose["services"]["mlflow"]["command"]
    assert service[: len(command)] == command
    port = _free_port()
    served = [w.replace("0.0.0.0", "127.0.0.1").replace("5000", str(port)) for w in service]  # noqa: S104
    check = json.loads(dockerfiles["mlflow"].last("HEALTHCHECK").split("CMD ")[1])
    asked = [stage.rooted(word.replace("5000", str(port))) for word in check]
    # as make-secrets.sh writes it: the driver is named, since SQLAlchemy's default is another one
    (tmp_path / "database").write_text(database.replace("postgresql:", "postgresql+psycopg2:"))
    secret = {"MLFLOW_BACKEND_STORE_URI_FILE": str(tmp_path / "database")}
    with _running(stage, [*_entry(stage), *served], tmp_path / "log", **secret) as alive:
        _until(lambda: _succeeds(stage, asked), alive, tmp_path / "log")
    assert not _succeeds(stage, asked)


def _entry(stage: Any) -> list[str]:
    return [stage.rooted("/usr/local/bin/read-secrets")]


def _ask(stage: Any, command: list[str], **variables: str) -> str:
    done = subprocess.run(
        command,
        env=stage.environment(**variables),
        cwd=stage.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _succeeds(stage: Any, command: list[str]) -> bool:
    done = subprocess.run(command, env=stage.environment(), capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def _running(
    stage: Any, command: list[str], log: Path, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=stage.environment(**variables),
            cwd=log.parent,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until(said: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        if said():
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
