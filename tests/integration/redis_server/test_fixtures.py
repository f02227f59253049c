"""The shared fixtures: tests see an empty Redis, and contract suites see a fake and a real one alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from recovery.scripts import LuaScript


@pytest.mark.parametrize("round_", [1, 2])
def test_each_test_starts_empty(redis_client: redis.Redis, round_: int) -> None:
    assert redis_client.dbsize() == 0
    redis_client.set(f"left by round {round_}", "x")


@pytest.mark.parametrize("round_", [1, 2])
def test_fake_and_real_run_scripts_and_start_empty(any_redis: redis.Redis, tmp_path: Path, round_: int) -> None:
    assert any_redis.dbsize() == 0
    path = tmp_path / "count.lua"
    path.write_text("redis.call('SET', KEYS[1], ARGV[1]); return redis.call('INCR', KEYS[1])")
    script = LuaScript(path)
    assert script(any_redis, ["counter"], [41]) == 42
    assert script(any_redis, ["counter"], [1]) == 2
