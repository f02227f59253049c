"""docker-compose.yml and the Dockerfile: well formed, and in step with the code they run."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.celery import celery as celery_command
from jsonschema import Draft202012Validator

from config import queues
from config.settings import Settings
from config.variables import all_settings
from tests.support.paths import ROOT, SUPPORT
from workers.supervisor.embedded_redis import EmbeddedRedis
from workers.supervisor.launcher import WORKER_PATIENCE

APP = "workers.app"
ONE_SHOT = {"init"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads((SUPPORT / "compose_schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _celery(services: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    return {name: s["command"] for name, s in services.items() if s["command"][0] == "celery"}


def _option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_file_is_valid(compose: dict[str, Any], validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(compose)] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("healthchek", {}),
        ("restart", False),
        ("depends_on", {"redis": {"condition": "healthy"}}),
        ("ports", [5555]),
    ],
)
def test_the_schema_finds_mistakes(
    compose: dict[str, Any], validator: Draft202012Validator, key: str, value: object
) -> None:
    broken = copy.deepcopy(compose)
    broken["services"]["worker"][key] = value
    assert list(validator.iter_errors(broken))


def test_every_process_of_an_instance_has_its_service(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {"redis", "init", "worker", "maintenance", "beat", "flower", "rpc"}


def test_celery_commands_name_the_app_and_subcommands_that_exist(services: dict[str, dict[str, Any]]) -> None:
    commands = _celery(services)
    assert set(commands) == {"worker", "maintenance", "beat", "flower"}
    for command in commands.values():
        assert _option(command, "--app") == APP
        assert command[3] == "flower" or command[3] in celery_command.commands


def test_celery_options_exist(services: dict[str, dict[str, Any]]) -> None:
    for command in _celery(services).values():
        if command[3] == "flower":
            continue  # its own test below
        known = {name for option in celery_command.commands[command[3]].params for name in option.opts}
        known |= {name for option in celery_command.commands[command[3]].params for name in option.secondary_opts}
        assert {part for part in command[4:] if part.startswith("--")} <= known


def test_flower_options_exist(services: dict[str, dict[str, Any]]) -> None:
    from flower.options import options

    given = [part.lstrip("-").split("=")[0] for part in services["flower"]["command"][4:]]
    assert given
    assert all(name in options for name in given)


def test_every_queue_is_consumed_and_only_known_ones(services: dict[str, dict[str, Any]]) -> None:
    workers = [command for command in _celery(services).values() if command[3] == "worker"]
    consumed = [queue for command in workers for queue in _option(command, "--queues").split(",")]
    assert sorted(consumed) == sorted(queue.name for queue in queues.queue_objects())


def test_every_lasting_service_has_a_health_check_and_restarts(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if name in ONE_SHOT:
            assert service["restart"] == "no"
        else:
            assert "test" in service["healthcheck"], name
            assert service["restart"] == "unless-stopped", name


def test_health_checks_ask_the_node_that_runs(services: dict[str, dict[str, Any]]) -> None:
    for name in ("worker", "maintenance"):
        node = _option(services[name]["command"], "--hostname").removesuffix("@%h")
        check = services[name]["healthcheck"]["test"][1]
        queue = _option(services[name]["command"], "--queues")
        assert check == f"python -m workers.container_health worker {node}@$$HOSTNAME {queue}"


def test_everything_waits_for_redis_and_the_initialised_ledger(services: dict[str, dict[str, Any]]) -> None:
    assert services["init"]["command"] == ["trunkline", "init"]
    assert services["init"]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    for name in _celery(services):
        assert services[name]["depends_on"] == {
            "redis": {"condition": "service_healthy"},
            "init": {"condition": "service_completed_successfully"},
        }


def test_workers_scale(services: dict[str, dict[str, Any]]) -> None:
    assert all("container_name" not in service for service in services.values())
    assert "ports" not in services["worker"]
    assert "%h" in _option(services["worker"]["command"], "--hostname")


def test_no_port_is_published_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 3
    for port in published:
        address, _outside, _inside = port.split(":")
        assert ipaddress.ip_address(address).is_loopback


def test_flower_needs_a_login_that_has_no_default(services: dict[str, dict[str, Any]]) -> None:
    assert services["flower"]["environment"]["FLOWER_BASIC_AUTH"].startswith("${FLOWER_BASIC_AUTH:?")


def test_every_volume_is_declared_and_used(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    used = {volume.split(":")[0] for service in services.values() for volume in service["volumes"]}
    assert used == set(compose["volumes"])


def test_settings_in_the_environment_exist(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for name in service.get("environment", {}):
            if name.startswith("TRUNKLINE_"):
                assert name in all_settings(Settings)


def test_redis_runs_as_the_embedded_one_does(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    command = services["redis"]["command"]
    given = {part.removeprefix("--"): command[at + 1] for at, part in enumerate(command) if part.startswith("--")}
    assert given == {
        "appendonly": "yes",
        "appendfsync": "${TRUNKLINE_FSYNC:-everysec}",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    config = EmbeddedRedis(tmp_path).write_config().read_text()
    for name, value in given.items():
        assert f'{name} "{"everysec" if name == "appendfsync" else value}"' in config.splitlines()


def test_containers_get_longer_to_stop_than_tasks_get_to_end(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert int(service["stop_grace_period"].removesuffix("s")) > WORKER_PATIENCE


def test_dockerfile_copies_every_package_and_is_pinned_and_unprivileged() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile, flags=re.MULTILINE))
    assert copied == packages
    needed = {
        "pyproject.toml",
        "constraints.txt",
        project["project"]["readme"],
        *project["project"]["license-files"],
    }
    [files] = re.findall(r"^COPY (.+) \./$", dockerfile, flags=re.MULTILINE)
    assert set(files.split()) == needed
    assert "install --no-cache-dir -c constraints.txt ." in dockerfile
    stages = dockerfile.split("\nFROM ")
    assert len(stages) == 3  # the comment before the first, then build and run
    assert re.search(r"^USER (?!root)\w+$", stages[-1], flags=re.MULTILINE)


def test_docker_ignores_nothing_that_the_dockerfile_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert allowed == {name for line in copied for name in line.split()}
