"""The ledger's Redis: killed, paused, emptied, rolled back, without memory, with its connections cut."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import redis

from tests.chaos.harness.instance import Instance
from tests.chaos.nemesis.kinds import Fault, Loss, register

#: With `everysec` a write may reach the file this late (Redis waits that long for a slow sync), in seconds.
_LATE = 2.5


class RedisFault(Fault):
    """A fault of the server, which is the instance's `redis`."""

    def __init__(self, instance: Instance, chance: random.Random) -> None:
        super().__init__(instance, chance)
        self.server = instance.redis
        self.target = "redis"


class KillEverySec(RedisFault):
    """SIGKILL with `appendfsync everysec`, then a start from what was written."""

    def inject(self) -> None:
        self.server.client.config_set("appendfsync", "everysec")
        time.sleep(0.3)
        self.since = time.monotonic() - _LATE
        self.server.kill()
        self.lost_at = time.monotonic()

    def heal(self) -> None:
        self.server.start()


class KillAlways(RedisFault):
    """SIGKILL with `appendfsync always`: what was answered is on the disk."""

    def inject(self) -> None:
        self.server.client.config_set("appendfsync", "always")
        time.sleep(0.5)
        self.server.kill()

    def heal(self) -> None:
        self.server.start()


class PowerCut(RedisFault):
    """As `everysec` with a power cut: the last second of the file is gone."""

    def inject(self) -> None:
        self.server.client.config_set("appendfsync", "everysec")
        time.sleep(0.3)
        self.since = time.monotonic() - _LATE
        file = self.server.appended()
        size = file.stat().st_size
        time.sleep(self.chance.uniform(0.3, 0.9))
        self.server.kill()
        if file.exists() and file.stat().st_size > size:
            os.truncate(file, size)
        self.lost_at = time.monotonic()

    def heal(self) -> None:
        self.server.start()


class PowerCutAlways(RedisFault):
    """With `always` what a power cut may tear is the last command, which nobody was answered yet."""

    def inject(self) -> None:
        self.server.client.config_set("appendfsync", "always")
        time.sleep(0.5)
        self.server.kill()
        with self.server.appended().open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$1")

    def heal(self) -> None:
        self.server.start()


class Restart(RedisFault):
    """Ended in order, and started again."""

    def inject(self) -> None:
        self.server.stop()

    def heal(self) -> None:
        self.server.start()


class PauseRedis(RedisFault):
    """SIGSTOP: connections stay open, nothing is answered."""

    def inject(self) -> None:
        self.server.signal(signal.SIGSTOP)

    def heal(self) -> None:
        self.server.signal(signal.SIGCONT)


class FlushAll(RedisFault):
    """Every key is gone."""

    def inject(self) -> None:
        self.server.client.flushall()
        self.lost_at = time.monotonic()


class ReplacedByEmpty(RedisFault):
    """A new server, with nothing in it, under the old address."""

    def inject(self) -> None:
        self.server.replace_by(None)
        self.lost_at = time.monotonic()


class PutBack(RedisFault):
    """An older copy of its files is put back."""

    def inject(self) -> None:
        self.since = time.monotonic() - _LATE
        self._copy = self.instance.folder / "copy"
        self.server.copy_to(self._copy)

    def heal(self) -> None:
        self.server.replace_by(self._copy)
        self.lost_at = time.monotonic()


class OutOfMemory(RedisFault):
    """It refuses every write."""

    def inject(self) -> None:
        self.server.client.config_set("maxmemory", 1)

    def heal(self) -> None:
        with suppress(redis.ConnectionError):
            self.server.client.config_set("maxmemory", 0)


class ClientKill(RedisFault):
    """Every connection is closed by the server, a few times."""

    def inject(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            for kind in ("normal", "pubsub"):
                self.server.client.client_kill_filter(_type=kind, skipme=True)
            time.sleep(0.1)


class ScriptFlush(RedisFault):
    """It forgets every script that was loaded."""

    def inject(self) -> None:
        self.server.client.script_flush()


register("redis-kill-everysec", KillEverySec, touches=["redis"], loses=Loss.TAIL, outage=True)
register("redis-kill-always", KillAlways, touches=["redis"], outage=True)
register("redis-power-cut", PowerCut, touches=["redis"], loses=Loss.TAIL, outage=True)
register("redis-power-cut-always", PowerCutAlways, touches=["redis"], outage=True)
register("redis-restart", Restart, touches=["redis"], outage=True)
register("redis-pause", PauseRedis, lasts=(1.0, 5.0), touches=["redis"], outage=True)
register("redis-flushall", FlushAll, touches=["redis"], loses=Loss.UNFINAL, outage=True)
register("redis-replaced-by-empty", ReplacedByEmpty, touches=["redis"], loses=Loss.UNFINAL, outage=True)
register("redis-older-copy-put-back", PutBack, lasts=(1.0, 4.0), touches=["redis"], loses=Loss.UNFINAL, outage=True)
register("redis-out-of-memory", OutOfMemory, lasts=(0.5, 3.0), touches=["redis"], outage=True)
register("redis-connections-cut", ClientKill, touches=["redis"])
register("redis-scripts-forgotten", ScriptFlush)
