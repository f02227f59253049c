"""The collectors that come along."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from recovery.degradation import CallableSignal, DiskFreeRatio, RedisMemoryRatio, Signal, collect


class Server:
    """Answers INFO memory as a server does (fakeredis does not)."""

    def __init__(self, **memory: int) -> None:
        self._memory = memory

    def info(self, section: str) -> dict[str, int]:
        assert section == "memory"
        return self._memory


@pytest.mark.parametrize(
    ("memory", "ratio"),
    [
        ({"used_memory": 30, "maxmemory": 40, "total_system_memory": 1000}, 0.75),
        ({"used_memory": 30, "maxmemory": 0, "total_system_memory": 1000}, 0.03),
        ({"used_memory": 30, "maxmemory": 0}, None),
    ],
)
def test_redis_memory_is_measured_against_its_limit(memory: dict[str, int], ratio: float | None) -> None:
    client: Any = Server(**memory)
    assert RedisMemoryRatio(client).read() == ratio


@pytest.mark.real_redis
def test_redis_memory_of_a_real_server(redis_client: redis.Redis) -> None:
    assert 0.0 < collect([RedisMemoryRatio(redis_client)])["redis_memory_ratio"] < 1.0


def test_free_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = SimpleNamespace(total=200, used=190, free=10)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage if path == tmp_path else None)
    assert DiskFreeRatio(tmp_path).read() == 0.05


def test_what_cannot_be_measured_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    signals: list[Signal] = [
        DiskFreeRatio(tmp_path / "gone"),
        CallableSignal("one", lambda: 1.0),
        CallableSignal("none", lambda: None),
    ]
    assert collect(signals) == {"one": 1.0}
    assert "disk_free_ratio cannot be measured" in caplog.text
