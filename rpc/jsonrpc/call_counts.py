"""How many calls of each method were answered, how, and how long they took; put into the metrics once a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

from tasks.metrics import Recorder

_FLUSH_SECONDS = 1.0
#: A method that does not exist has this name: a client may think of any number of them.
UNKNOWN = "unknown"
OK = "ok"
#: The client left, or the server ended.
ABANDONED = "abandoned"


class CallCounts:
    """Counts in plain memory, since a metric in a file costs as much as a small answer. For one event loop."""

    def __init__(self, folder: Path | None) -> None:
        # One for each server of a process, whoever else counts in it.
        self._recorder = Recorder(folder) if folder is not None and folder.is_dir() else None
        self._calls: Counter[tuple[str, str]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._flushing: asyncio.Task[None] | None = None

    def add(self, method: str, result: str, seconds: float) -> None:
        """Count a call that took so long."""
        self._calls[method, result] += 1
        self._seconds[method] += seconds  # type: ignore[assignment]  # a Counter of floats

    def flush(self) -> None:
        """Put what was counted into the metrics, if this process keeps any."""
        calls, self._calls = self._calls, Counter()
        seconds, self._seconds = self._seconds, Counter()
        if self._recorder is not None:
            self._recorder.rpc_calls(calls, seconds)

    def start(self) -> None:
        """Flush once a second from now on."""
        self._flushing = asyncio.create_task(self._flush_regularly())

    async def stop(self) -> None:
        """Flush for the last time."""
        if self._flushing is not None:
            self._flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing
        self.flush()

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self.flush()
