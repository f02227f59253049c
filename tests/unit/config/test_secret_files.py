"""Secrets in files: what a container is given by Docker's or Kubernetes' secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import ConfigurationError
from config.secret_files import SECRETS, read_secret_files
from config.settings import get_settings
from config.unknown import OTHER_VARIABLES
from config.variables import PREFIX


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Set and not deleted: what is under test sets it, and it is put back afterwards.
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", "")
    monkeypatch.setenv("TRUNKLINE_REDIS_URL_FILE", str(tmp_path / "url"))
    get_settings.cache_clear()
    yield tmp_path / "url"
    get_settings.cache_clear()


def test_a_setting_is_read_from_the_file_that_is_named(secret: Path) -> None:
    secret.write_text("redis://:s3cret@redis:6379/0\n")
    assert get_settings().redis.url == "redis://:s3cret@redis:6379/0"


def test_the_variable_itself_goes_before_its_file(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` hands the URL on to its processes, whose environment names the file, too."""
    secret.write_text("redis://:old@redis:6379/0")
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", "redis://:new@redis:6379/0")
    assert get_settings().redis.url == "redis://:new@redis:6379/0"


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff\xfe", "no text")])
def test_a_file_that_is_no_secret_is_an_error_that_names_it(secret: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"TRUNKLINE_REDIS_URL_FILE: .*{secret}.*{words}"):
        get_settings()


def test_every_secret_may_come_in_a_file(tmp_path: Path) -> None:
    environment = {}
    for name in SECRETS:
        (tmp_path / name).write_text(f"{name}'s")
        environment[f"{name}_FILE"] = str(tmp_path / name)
    read_secret_files(environment)
    assert {name: environment[name] for name in SECRETS} == {name: f"{name}'s" for name in SECRETS}


def test_the_files_variables_are_known_ones() -> None:
    assert {f"{name}_FILE" for name in SECRETS if name.startswith(PREFIX)} <= OTHER_VARIABLES.keys()
