"""The example of a component with its own rules runs, alone and on a Redis, and shows what it claims."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import redis

from benchmarks.degradation import manager_bytes
from tests.support.paths import ROOT


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "examples.own_component", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("where", ["memory", pytest.param("redis", marks=pytest.mark.real_redis)])
def test_the_component_degrades_recovers_and_is_overridden(where: str, request: pytest.FixtureRequest) -> None:
    output = run() if where == "memory" else run(request.getfixturevalue("redis_url"))
    assert "too-many-waiting: NORMAL -> READ_ONLY" in output
    assert "too-many-waiting: READ_ONLY -> NORMAL" in output
    assert re.search(r"but shows: \d+ thumbnails", output)
    longest = re.search(r"taken \d+, refused [1-9]\d*, at most (\d+) waiting", output)
    assert longest is not None
    assert int(longest[1]) < 100, "300 pictures were offered; the rule kept the queue short"
    assert "ESSENTIAL_ONLY would refuse thumbnails READ" in output
    assert "set: NORMAL -> ESSENTIAL_ONLY by ann (moving the disk)" in output
    assert "clear: ESSENTIAL_ONLY -> NORMAL by ann (moved)" in output


@pytest.mark.real_redis
def test_a_manager_takes_less_than_100_kilobytes(redis_client: redis.Redis) -> None:
    assert 0 < manager_bytes(redis_client) < 100_000
