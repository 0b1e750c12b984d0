"""compose.yaml: the schema, the profiles, health, secrets, and commands that exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
PROFILES = ["celery", "core", "mlflow", "postgres", "s3", "triton"]
PINNED = re.compile(r"[a-z0-9./_-]+:[\w.-]+@sha256:[0-9a-f]{64}")
OWN = {f"backbeat-{name}:local" for name in ("airflow", "dagster", "mlflow")}
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_the_schema_finds_nothing(tool: Callable[[str], str], tmp_path: Path) -> None:
    """compose.yaml keeps the Compose specification's schema, and a misspelt key would not."""
    assert _keeps_schema(tool, COMPOSE)
    misspelt = tmp_path / "compose.yaml"
    misspelt.write_text(COMPOSE.read_text().replace("read_only:", "readonly:", 1))
    assert not _keeps_schema(tool, misspelt)


def test_the_profiles_are_those_that_are_promised(compose: dict[str, Any]) -> None:
    """Every service belongs to at least one of the six profiles, and each profile has services."""
    found = [service["profiles"] for service in compose["services"].values()]
    assert all(found)
    assert sorted({profile for profiles in found for profile in profiles}) == PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_whole(compose: dict[str, Any], profile: str) -> None:
    """What a service waits for is started by the same profile: each one starts alone."""
    started = {n for n, s in compose["services"].items() if profile in s["profiles"]}
    for name in started:
        assert set(compose["services"][name].get("depends_on", {})) <= started, name


@every_service
def test_a_service_says_whether_it_is_well(compose: dict[str, Any], name: str) -> None:
    """A server has a health check; a service that ends is waited for until it has succeeded."""
    service = compose["services"][name]
    conditions = {
        wanted["condition"]
        for other in compose["services"].values()
        for wanted_name, wanted in other.get("depends_on", {}).items()
        if wanted_name == name
    }
    if service["restart"] == "no":
        assert conditions <= {"service_completed_successfully"}
        assert service["healthcheck"] == {"disable": True}
    else:
        assert conditions <= {"service_healthy"}
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@every_service
def test_an_image_is_pinned_or_built_here(compose: dict[str, Any], name: str) -> None:
    """No tag that may become another image: a digest, or a Dockerfile of this repository."""
    service = compose["services"][name]
    if service["image"] in OWN:
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert (DOCKER / service["build"]["context"]).resolve() == ROOT
    else:
        assert PINNED.fullmatch(service["image"])


@every_service
def test_a_service_has_no_more_rights_than_it_needs(compose: dict[str, Any], name: str) -> None:
    """No capabilities, no new privileges, limits, a read-only root but for Airflow's."""
    service = compose["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service.get("read_only", False) != name.startswith("airflow-")
    for forbidden in ("privileged", "cap_add", "network_mode", "pid", "devices"):
        assert forbidden not in service


@every_service
def test_a_port_is_published_on_loopback_only(compose: dict[str, Any], name: str) -> None:
    """A published port is of 127.0.0.1; without one a service has no way out of its network."""
    service = compose["services"][name]
    ports = service.get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert service["networks"] == (["inside", "host"] if ports else ["inside"])
    assert compose["networks"]["inside"] == {"internal": True}


@every_service
def test_a_secret_is_a_file(compose: dict[str, Any], name: str) -> None:
    """A variable with a secret's name holds a path; a service that reads a file was given it."""
    service = compose["services"][name]
    secretive = re.compile(
        r"PASSWORD(?!S_FILE)|SECRET|TOKEN|_KEY|SQL_ALCHEMY_CONN|BROKER_URL|RESULT_BACKEND"
    )
    for variable, value in service.get("environment", {}).items():
        if secretive.search(variable):
            assert re.fullmatch(r"(cat )?/run/secrets/[\w.]+", str(value)), variable
    told = json.dumps({key: value for key, value in service.items() if key != "secrets"})
    read = set(re.findall(r"/run/secrets/([\w.]+)", told))
    if name == "postgres":
        read |= set(re.findall(r"/run/secrets/(\w+)", _text("postgres/initialize.sql")))
    assert sorted(service.get("secrets", [])) == sorted(read)


def test_no_file_holds_a_password() -> None:
    """No address with a password in it, and no variable that falls back to a default one."""
    for path in [COMPOSE, *DOCKER.glob("*/*"), *DOCKER.glob("*.sh"), DOCKER / ".env.example"]:
        if path.parent.name in {"secrets", "models", "__pycache__"}:
            continue
        text = path.read_text()
        found = re.findall(r"://[^\s/@]*:([^\s/@]+)@", text)
        assert all(word == "%s" for word in found), path
        assert not re.search(r"\$\{\w*(PASSWORD|SECRET|TOKEN|KEY)\w*:?-", text), path


def test_what_can_be_set_is_written_down() -> None:
    """Each variable of compose.yaml is in .env.example, and the other way round."""
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE.read_text()))
    written = re.findall(r"^(\w+)=", _text(".env.example"), re.MULTILINE)
    assert {*asked, "COMPOSE_PROFILES"} == set(written)


def test_the_ledger_is_migrated_before_anyone_works(compose: dict[str, Any]) -> None:
    """One service has the owner's address; who has a worker's waits until that one is done."""
    services = compose["services"]
    owners = [n for n, s in services.items() if "ledger_owner" in s.get("secrets", [])]
    assert owners == ["backbeat-migrate"]
    once = {"airflow-migrate", "dagster-migrate"}
    workers = {n for n, s in services.items() if "ledger_worker" in s.get("secrets", [])}
    for name in workers - once:
        assert "backbeat-migrate" in services[name]["depends_on"], name


def test_celery_has_two_workers(compose: dict[str, Any]) -> None:
    """The profile celery starts two of them, of the scheduler's own image."""
    worker = compose["services"]["airflow-worker"]
    assert worker["deploy"]["replicas"] == 2
    assert worker["image"] == compose["services"]["airflow-scheduler"]["image"]


def test_airflow_knows_its_commands_and_settings(compose: dict[str, Any]) -> None:
    """Airflow's own parser takes each command and check; each variable names an option it has."""
    services = [s for n, s in compose["services"].items() if n.startswith("airflow-")]
    commands, celery, variables = [], [], set()
    for service in services:
        variables |= {v for v in service["environment"] if v.startswith("AIRFLOW__")}
        command = service["command"]
        commands.append(command[-1].split("exec airflow ")[1:] if command[0] == "bash" else command)
        check = service["healthcheck"].get("test", [""])[-1].replace("$${HOSTNAME}", "h").split()
        if check[:1] == ["airflow"]:
            commands.append([word.strip('"') for word in check[1:]])
        elif check[:1] == ["celery"]:
            celery.append(check)
    assert len(celery) == 1
    code = """
import json, sys
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
given = json.load(sys.stdin)
for command in given["commands"]:
    get_parser().parse_args(command)
wrong = []
for variable in given["variables"]:
    section, option = variable.removeprefix("AIRFLOW__").lower().split("__")
    plain = option.removesuffix("_cmd")
    known = plain in conf.configuration_description.get(section, {}).get("options", {})
    known = known or conf.get(section, plain, fallback=None) is not None
    secret = plain == option or (section, plain) in conf.sensitive_config_values
    if not (known and secret):
        wrong.append(variable)
print(json.dumps(wrong))
"""
    said = _python("airflow", code, {"commands": commands, "variables": sorted(variables)})
    assert json.loads(said.splitlines()[-1]) == []
    program = str(ROOT / ".venv-airflow/bin/celery")
    subprocess.run([program, *celery[0][1:5], "--help"], check=True, capture_output=True)


def test_dagster_knows_its_commands(compose: dict[str, Any]) -> None:
    """Dagster's own parsers take each command and each check."""
    commands = [
        words
        for name, service in compose["services"].items()
        if name.startswith("dagster-")
        for words in (service.get("command", []), service["healthcheck"].get("test", [])[1:])
        if words and words[0].startswith("dagster")
    ]
    assert len(commands) == 5
    code = """
import json, sys
import click
from dagster._cli import create_dagster_cli
from dagster._daemon.cli import create_dagster_daemon_cli
from dagster_webserver.cli import create_dagster_webserver_cli
programs = {
    "dagster": create_dagster_cli(),
    "dagster-daemon": create_dagster_daemon_cli(),
    "dagster-webserver": create_dagster_webserver_cli(),
}
for program, *words in json.load(sys.stdin):
    command = programs[program]
    while isinstance(command, click.Group):
        with click.Context(command) as context:
            _, command, words = command.resolve_command(context, words)
    # a workspace file is of the image
    words = [sys.argv[1] if word.endswith("workspace.yaml") else word for word in words]
    command.make_context(program, words)
"""
    _python("dagster", code, commands, str(DOCKER / "dagster/workspace.yaml"))


def test_the_webserver_looks_for_the_service_that_is_there(compose: dict[str, Any]) -> None:
    """workspace.yaml names the code location's service and the port that its image listens on."""
    server = yaml.safe_load(_text("dagster/workspace.yaml"))["load_from"][0]["grpc_server"]
    assert server["host"] in compose["services"]
    assert f"EXPOSE {server['port']}\n" in _text("dagster/Dockerfile")


def _text(name: str) -> str:
    return (DOCKER / name).read_text()


def _keeps_schema(tool: Callable[[str], str], path: Path) -> bool:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "Schema validation errors" in done.stdout, done.stderr
    return done.returncode == 0


def _python(environment: str, code: str, given: Any, *arguments: str) -> str:
    done = subprocess.run(
        [ROOT / f".venv-{environment}/bin/python", "-c", code, *arguments],
        input=json.dumps(given),
        env={**os.environ, "AIRFLOW__CORE__UNIT_TEST_MODE": "False"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
