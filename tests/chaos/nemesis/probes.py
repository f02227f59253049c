"""A look at the breakers while the storm goes on: half-open ones let one probe through, over the whole fleet."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import redis

from tests.chaos.history import History

#: What the pipeline's breakers are configured to (`half_open_probes`).
MOST_PROBES = 1
_SECONDS = 0.01


class ProbeWatch:
    """Reads the leases of probes in every breaker's key, again and again, and notes when there are too many."""

    def __init__(self, client: redis.Redis, prefix: str, history: History) -> None:
        self._client = client
        self._prefix = prefix
        self._history = history
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)
        self.seen = 0

    def __enter__(self) -> ProbeWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(_SECONDS):
            with suppress(redis.RedisError):
                self._look()

    def _look(self) -> None:
        names: Any = self._client.smembers(f"{self._prefix}:breakers")
        for name in sorted(names):
            key = f"{self._prefix}:breaker:{name.decode()}"
            found: Any = self._client.hget(key, "probes") or b""
            count = len([one for one in found.split(b",") if one])
            self.seen = max(self.seen, count)
            if count > MOST_PROBES:
                self._history.note("probes", breaker=name.decode(), count=count)
