"""Keeps an instance's processes running, and ends them in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from config.errors import TrunklineError
from workers.supervisor.embedded_redis import EmbeddedRedis
from workers.supervisor.guard import Guard
from workers.supervisor.processes import Backoff, Child, stop_children

logger = logging.getLogger(__name__)

#: Seconds between two looks at the processes.
WATCH_INTERVAL = 0.1


class Supervisor:
    """Children and at most one embedded Redis, each restarted after a growing delay when it ends by itself.

    All public methods may be called from any thread. `hold` are file descriptors for the guard to keep open,
    `paths` are files for it to remove, should this process be killed. Set `hurry` to cut every polite wait short.
    """

    def __init__(self, *, hold: Sequence[int], paths: Sequence[Path]) -> None:
        self.hurry = threading.Event()
        self._hold = tuple(hold)
        self._state = threading.RLock()
        self._stopping = threading.Event()
        self._children: list[Child] = []
        self._redis: EmbeddedRedis | None = None
        self._redis_backoff = Backoff()
        self._redis_started = self._redis_restart_at = 0.0
        self._watcher: threading.Thread | None = None
        self.guard = Guard(hold)
        for path in paths:
            self.guard.watch_path(path)

    def keep_redis(self, server: EmbeddedRedis) -> None:
        """Start the server, return once it answers, and keep it running. Raises TrunklineError as its `start`."""
        self._redis = server
        server.use_guard(self.guard)
        server.start()
        self._redis_started = time.monotonic()

    def keep(self, child: Child) -> None:
        """Start the child and keep it running."""
        with self._state:
            child.start(self.guard)
            self._children.append(child)

    def retire(self, children: Sequence[Child], *, patience: float) -> None:
        """End these children: softly, and after `patience` seconds by SIGKILL (at once when that is 0)."""
        with self._state:
            self._children = [child for child in self._children if child not in children]
            killed = stop_children(children, self.guard, patience=patience, hurry=self.hurry)
        if killed and patience:
            logger.warning("Killed what did not end in time: %s.", ", ".join(killed))

    def kill(self, child: Child) -> int:
        """SIGKILL a child with its whole group and return the pid it had. Raises TrunklineError when it is down."""
        with self._state:
            pid = child.pid
            if pid is None:
                raise TrunklineError(f"{child.name} does not run at the moment.")
            child.kill()
            return pid

    def pids(self) -> dict[str, int | None]:
        """Process id by name; None for what is down just now."""
        with self._state:
            found = {child.name: child.pid for child in self._children}
            return found if self._redis is None else {"redis": self._redis.pid, **found}

    def watch(self) -> None:
        """Restart from now on what ends."""
        self._watcher = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._watcher.start()

    def quiesce(self) -> None:
        """Restart nothing any more."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    def close(self) -> None:
        """End Redis, whatever else is left, and the guard. Fine to call twice."""
        self.quiesce()
        if self._redis is not None:
            # Never killed in a hurry: with fsync `everysec` a polite end flushes what a kill would lose.
            self._redis.stop()
            self._redis = None
        self.guard.close()

    def _run(self) -> None:
        while not self._stopping.wait(WATCH_INTERVAL):
            try:
                with self._state:
                    self._watch_guard()
                    self._watch_redis()
                    for child in self._children:
                        self._watch_child(child)
            except (OSError, TrunklineError) as error:  # no memory for a fork, a full disk: it may pass
                logger.error("Supervision failed and goes on in a second: %s", error)  # noqa: TRY400
                self._stopping.wait(1.0)

    def _watch_guard(self) -> None:
        if not self.guard.alive():
            logger.warning("The guard (pid %d) was lost; starting another.", self.guard.pid)
            self.guard = self.guard.replace(self._hold)
            if self._redis is not None:
                self._redis.use_guard(self.guard)

    def _watch_redis(self) -> None:
        server = self._redis
        if server is None or server.alive():
            return
        now = time.monotonic()
        if not self._redis_restart_at:
            server.reap()
            delay = self._redis_backoff.after(now - self._redis_started)
            self._redis_restart_at = now + delay
            logger.warning("redis ended; restarting it in %.1f s. Its log: %s", delay, server.log)
        elif now >= self._redis_restart_at:
            # Without waiting for its data to load: clients reconnect by themselves.
            server.launch()
            self._redis_started, self._redis_restart_at = now, 0.0

    def _watch_child(self, child: Child) -> None:
        if (code := child.reap(self.guard)) is not None:
            delay = child.restart_at - time.monotonic()
            ending = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            logger.warning("%s ended (%s); restarting it in %.1f s. Its log: %s", child.name, ending, delay, child.log)
        elif child.waits_for_restart() and time.monotonic() >= child.restart_at:
            child.start(self.guard)
