"""docker-compose.yml, .env.example and deploy/compose/make-secrets: what is secret, and where it is."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from config.addresses import broker_address, ledger_address
from config.settings import Profile, Settings
from config.variables import all_settings
from recovery.archive import open_archive
from recovery.sentinels import SentinelAddress
from tests.support.compose import compose, services
from tests.support.paths import ROOT
from workers.supervisor.flower_login import require_login

__all__ = ["compose", "services"]  # fixtures

ENV_EXAMPLE = (ROOT / ".env.example").read_text()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What deploy/compose/make-secrets makes."""
    _make_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"


def _make_secrets(folder: Path) -> None:
    subprocess.run([ROOT / "deploy/compose/make-secrets", folder], check=True, capture_output=True, timeout=20)


def test_no_password_is_in_an_environment(services: dict[str, dict[str, Any]]) -> None:
    """`docker inspect` shows it. Names of files end in FILE."""
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            secret = re.search("PASSWORD|SECRET|ACCESS_KEY|AUTH|REDIS_URL|BROKER_URL", name)
            assert not secret or name.endswith("_FILE"), name
            assert not secret or value in ("${TRUNKLINE_BROKER_URL_FILE:-}",) or "/run/secrets/" in value, name


def test_every_secret_is_declared_made_and_used_where_it_is_named(
    compose: dict[str, Any], services: dict[str, dict[str, Any]], secrets: Path
) -> None:
    used = {}
    for name, service in services.items():
        given = {one if isinstance(one, str) else one["source"] for one in service.get("secrets", [])}
        used[name] = given
        text = json.dumps([service.get("environment"), service.get("command"), service["healthcheck"]])
        assert set(re.findall(r"/run/secrets/(\w+)", text)) <= given, name
    assert set().union(*used.values()) == set(compose["secrets"])
    assert {secret["file"].removeprefix("secrets/") for secret in compose["secrets"].values()} == {
        file.name for file in secrets.iterdir()
    } - {"rabbitmq_password"}
    assert used["flower"] - used["rpc"] == {"flower_login"}


def test_secrets_belong_together_and_are_private(secrets: Path) -> None:
    def read(name: str) -> str:
        return (secrets / name).read_text()

    assert secrets.stat().st_mode & 0o077 == 0
    assert urlsplit(ledger_address(read("redis_url"))).password == read("redis_password")
    sentinels = SentinelAddress.of(ledger_address(read("sentinel_url")))
    assert sentinels.server_options["password"] == sentinels.sentinel_options["password"] == read("redis_password")
    assert urlsplit(broker_address(read("rabbitmq_url"))).password == read("rabbitmq_password")
    assert f"default_pass = {read('rabbitmq_password')}\n" in read("rabbitmq_conf")
    require_login(Profile.PROD, {"FLOWER_BASIC_AUTH": read("flower_login")})
    assert len({read(file.name) for file in secrets.iterdir()}) == len(list(secrets.iterdir()))


def test_secrets_that_are_there_stay(secrets: Path) -> None:
    before = {file.name: file.read_bytes() for file in secrets.iterdir()}
    _make_secrets(secrets)
    assert {file.name: file.read_bytes() for file in secrets.iterdir()} == before


def test_the_example_environment_has_every_variable_and_no_other() -> None:
    """Read as Compose does; lines that are commented out are suggestions."""
    offered = dict(re.findall(r"^#?([A-Z_0-9]+)=(.*)$", ENV_EXAMPLE, flags=re.MULTILINE))
    read_by_compose = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert offered.keys() - {"COMPOSE_PROFILES"} == read_by_compose
    settings = {name: value for name, value in offered.items() if name in all_settings(Settings) and value}
    made = Settings.from_variables(**{name.removeprefix("TRUNKLINE_").lower(): v for name, v in settings.items()})
    assert made.profile is Profile.PROD
    open_archive(made.archive.url)
