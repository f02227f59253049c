"""What rules look at: named numbers, each measured by a collector."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import redis

logger = logging.getLogger(__name__)


class Signal(Protocol):
    """Measures one number. `name` is what rules call it."""

    @property
    def name(self) -> str: ...

    def read(self) -> float | None:
        """The value now, None when it has none, soon. May raise OSError or what redis-py raises."""


@dataclass(frozen=True, slots=True)
class CallableSignal:
    """A signal from any function."""

    name: str
    measure: Callable[[], float | None]

    def read(self) -> float | None:
        return self.measure()


@dataclass(frozen=True, slots=True)
class RedisMemoryRatio:
    """Memory that Redis uses as a part of its `maxmemory`; of the machine's memory when it has no limit."""

    client: redis.Redis
    name: str = "redis_memory_ratio"

    def read(self) -> float | None:
        info: Any = self.client.info("memory")
        limit = int(info.get("maxmemory") or 0) or int(info.get("total_system_memory") or 0)
        return float(info["used_memory"]) / limit if limit else None


@dataclass(frozen=True, slots=True)
class DiskFreeRatio:
    """The free part of the file system that holds `path`: 0.0 to 1.0."""

    path: Path
    name: str = "disk_free_ratio"

    def read(self) -> float | None:
        usage = shutil.disk_usage(self.path)
        return usage.free / usage.total if usage.total else None


def collect(signals: Iterable[Signal]) -> dict[str, float]:
    """The values that could be measured now, by name. One that cannot be is left out and said loudly."""
    values: dict[str, float] = {}
    for signal in signals:
        try:
            value = signal.read()
        except (OSError, redis.RedisError) as error:
            logger.warning("degradation: signal %s cannot be measured: %s", signal.name, error)
            continue
        if value is not None:
            values[signal.name] = value
    return values
