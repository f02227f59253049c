"""docker-compose.yml and the Dockerfile: well formed, and in step with the code they run."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from celery.bin.celery import celery as celery_command
from jsonschema import Draft202012Validator

from config import queues
from config.secret_files import SECRETS
from config.settings import Settings
from config.variables import all_settings
from tests.support.compose import OURS, compose, services
from tests.support.paths import ROOT, SUPPORT
from workers.cli.program import main as trunkline
from workers.supervisor.embedded_redis import EmbeddedRedis
from workers.supervisor.launcher import WORKER_PATIENCE

__all__ = ["compose", "services"]  # fixtures

APP = "workers.app"
ONE_SHOT = {"init", "bucket"}
PROFILES = {
    "sentinel": {"redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"},
    "rabbitmq": {"rabbitmq"},
    "s3": {"minio", "bucket"},
    "monitoring": {"prometheus", "grafana"},
}
#: A new volume is root's, and MinIO's image makes no folder for another user.
ROOT_WITHOUT_RIGHTS = {"minio", "bucket"}
_ROOT = {"root", "0", ""}
HEALTH = (ROOT / "workers/container_health.py").read_text()


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads((SUPPORT / "compose_schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _celery(services: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    return {name: s["command"] for name, s in services.items() if s.get("command", [""])[0] == "celery"}


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
        ("image", "trunkline"),
        ("image", "trunkline:latest"),
        ("read_only", False),
        ("cap_drop", []),
        ("logging", {"driver": "json-file"}),
        ("deploy", {"replicas": 2}),
        ("secrets", [{"source": "redis_url"}]),
    ],
)
def test_the_schema_finds_mistakes(
    compose: dict[str, Any], validator: Draft202012Validator, key: str, value: object
) -> None:
    broken = copy.deepcopy(compose)
    broken["services"]["worker"][key] = value
    assert list(validator.iter_errors(broken))


def test_every_process_of_an_instance_has_its_service(services: dict[str, dict[str, Any]]) -> None:
    assert {name for name, service in services.items() if "profiles" not in service} == {"redis", *OURS}


def test_profiles_are_the_documented_ones(services: dict[str, dict[str, Any]]) -> None:
    found: dict[str, set[str]] = {}
    for name, service in services.items():
        for profile in service.get("profiles", []):
            found.setdefault(profile, set()).add(name)
    assert found == PROFILES
    example = (ROOT / ".env.example").read_text()
    [line] = re.findall(r"^# What else runs: any of (.+), with commas between.$", example, flags=re.MULTILINE)
    assert line.split(", ") == list(PROFILES)


def test_a_service_depends_on_services_that_run_whenever_it_does(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            together = set(services[other].get("profiles", service.get("profiles", [])))
            assert together == set(service.get("profiles", [])) or how.get("required") is False, f"{name}: {other}"
            ends = how["condition"] == "service_completed_successfully"
            assert ends == (other in ONE_SHOT), f"{name} waits for {other}"


def test_nothing_runs_as_root_but_what_has_a_reason(services: dict[str, dict[str, Any]]) -> None:
    rootless = {name for name, service in services.items() if service.get("user", "root").split(":")[0] not in _ROOT}
    assert set(services) - rootless == ROOT_WITHOUT_RIGHTS


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
            assert service["healthcheck"] == {"disable": True}
        else:
            assert "test" in service["healthcheck"], name
            assert service["restart"] == "unless-stopped", name


def test_health_checks_ask_the_node_that_runs(services: dict[str, dict[str, Any]]) -> None:
    for name in ("worker", "maintenance"):
        node = _option(services[name]["command"], "--hostname").removesuffix("@%h")
        check = services[name]["healthcheck"]["test"][1]
        queue = _option(services[name]["command"], "--queues")
        assert check == f"python -m workers.container_health worker {node}@$$HOSTNAME {queue}"


def test_other_health_checks_of_ours_are_questions_that_exist(services: dict[str, dict[str, Any]]) -> None:
    asked = {name: services[name]["healthcheck"]["test"] for name in OURS - {"init", "worker", "maintenance"}}
    for name, test in asked.items():
        assert test[:-1] == ["CMD", "python", "-m", "workers.container_health"], name
    assert {name: test[-1] for name, test in asked.items()} == {"beat": "broker", "flower": "flower", "rpc": "rpc"}
    assert all(f'arguments == ["{test[-1]}"]' in HEALTH for test in asked.values())


def test_commands_of_ours_can_be_parsed(services: dict[str, dict[str, Any]]) -> None:
    ours = {name: services[name]["command"] for name in OURS if services[name]["command"][0] == "trunkline"}
    assert set(ours) == {"init", "rpc"}
    for command in ours.values():
        trunkline.commands[command[1]].make_context(command[1], list(command[2:]))


def test_a_command_with_a_typing_error_cannot(services: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(click.UsageError):
        trunkline.commands["rpc"].make_context("rpc", ["--hots", "0.0.0.0"])


def test_everything_waits_for_redis_and_the_initialised_ledger(services: dict[str, dict[str, Any]]) -> None:
    assert services["init"]["command"] == ["trunkline", "init"]
    needed = {name: how for name, how in services["init"]["depends_on"].items() if how.get("required", True)}
    assert needed == {"redis": {"condition": "service_healthy"}}
    for name in OURS - {"init"}:
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
    assert len(published) == 5
    for port in published:
        address, _outside, _inside = port.split(":")
        assert ipaddress.ip_address(address).is_loopback


def test_every_volume_is_declared_and_used(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    mounted = {source for source in used if source.startswith("./")}
    assert used - mounted == set(compose["volumes"])
    assert all((ROOT / source).exists() for source in mounted)


def test_the_key_that_signs_is_seen_only_by_those_who_sign_and_not_beside_the_archive(
    services: dict[str, dict[str, Any]],
) -> None:
    """A process that the world talks to, or that runs on many hosts, could otherwise give the key away."""
    holders = {
        name for name, service in services.items() for volume in service.get("volumes", []) if volume[:4] == "keys"
    }
    assert holders == {"init", "maintenance"}
    for name in holders:
        assert sorted(services[name]["volumes"]) == ["archive:/archive", "keys:/data"]
        assert services[name]["environment"]["TRUNKLINE_ARCHIVE_URL"].endswith(":-file:///archive}")
    assert services["rpc"]["volumes"] == ["archive:/archive:ro"]
    assert "volumes" not in services["worker"]
    assert services["worker"]["environment"]["TRUNKLINE_EXECUTE_ONLY"] == "true"


def test_settings_in_the_environment_exist(services: dict[str, dict[str, Any]]) -> None:
    known = {*all_settings(Settings), *(f"{name}_FILE" for name in SECRETS)}
    for service in services.values():
        for name in service.get("environment", {}):
            if name.startswith("TRUNKLINE_") or service["image"].startswith("trunkline"):
                assert name in known | {"CELERY_QUIET"}, name


def test_production_is_the_default(services: dict[str, dict[str, Any]]) -> None:
    assert {services[name]["environment"]["TRUNKLINE_PROFILE"] for name in OURS} == {"${TRUNKLINE_PROFILE:-prod}"}


def test_redis_runs_as_the_embedded_one_does(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    command = services["redis"]["command"]
    given = {part.removeprefix("--"): command[at + 1] for at, part in enumerate(command) if part.startswith("--")}
    assert given == {
        "appendonly": "yes",
        "appendfsync": "${TRUNKLINE_FSYNC:-everysec}",
        "save": "",
        "maxmemory": "${REDIS_MAXMEMORY:-3gb}",
        "maxmemory-policy": "noeviction",
    }
    assert all(services[f"redis-{number}"]["command"] == command for number in (2, 3))
    config = EmbeddedRedis(tmp_path).write_config().read_text()
    for name, value in given.items():
        if name != "maxmemory":
            assert f'{name} "{"everysec" if name == "appendfsync" else value}"' in config.splitlines()


def test_redis_refuses_writes_before_it_is_killed_for_its_memory(services: dict[str, dict[str, Any]]) -> None:
    """Rewriting its file, it needs room beside its data."""
    allowed = int(re.findall(r":-(\d+)gb", " ".join(services["redis"]["command"]))[0])
    assert allowed < int(services["redis"]["deploy"]["resources"]["limits"]["memory"].removesuffix("g"))


def test_prometheus_asks_services_that_serve_metrics(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())
    ledger, workers = config["scrape_configs"]
    asked = {target.split(":")[0]: target.split(":")[1] for target in ledger["static_configs"][0]["targets"]}
    asked |= {name: str(found["port"]) for found in workers["dns_sd_configs"] for name in found["names"]}
    assert asked == {
        name: service["environment"]["TRUNKLINE_METRICS_PORT"]
        for name, service in services.items()
        if "TRUNKLINE_METRICS_PORT" in service.get("environment", {})
    }
    mounted = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    assert set(config["rule_files"]) <= set(mounted)
    # The rest is as where no container runs.
    plain = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"][1]
    assert workers["metric_relabel_configs"] == plain["metric_relabel_configs"]


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
    [user] = re.findall(r"^USER (\d+)$", stages[-1], flags=re.MULTILINE)
    assert user != "0"
    assert f"--uid {user} --gid {user}" in stages[-1]


def test_the_image_is_the_one_that_the_services_run_as_the_user_that_it_makes(
    services: dict[str, dict[str, Any]],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name in OURS:
        assert services[name]["image"] == f"trunkline:{project['version']}"
        assert services[name]["user"].split(":")[0] in re.findall(r"--uid (\d+)", dockerfile)
        for volume in services[name].get("volumes", []):
            # A new volume gets the owner that the folder has in the image.
            assert re.search(rf"--owner trunkline .*{volume.split(':')[1]}\b", dockerfile), volume
    bases = re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.search(r":\d+\.\d+\.\d+-slim-\w+$", bases[0])


def test_docker_ignores_nothing_that_the_dockerfile_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert allowed == {name for line in copied for name in line.split()}
