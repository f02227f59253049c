"""What a broker may do to messages: lose, double, reorder, delay, and carry garbage."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import Any

import redis

from tests.chaos.nemesis.kinds import Fault, register

QUEUES = ("transactions", "maintenance")


class OnQueue(Fault):
    """A fault of the transactions' queue, which in Redis is a list."""


class Deleted(OnQueue):
    """The queues are gone, again and again."""

    def inject(self) -> None:
        self.instance.client.delete(*QUEUES)

    def heal(self) -> None:
        self.instance.client.delete(*QUEUES)


class UnackedDeleted(OnQueue):
    """kombu forgets what was taken and not acknowledged."""

    def inject(self) -> None:
        self.instance.client.delete("unacked", "unacked_index")


class Thief(OnQueue):
    """Takes messages before the workers do, as many as it can, while it lasts."""

    _THIEVES = 4

    def inject(self) -> None:
        self._held: list[bytes] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._steal, daemon=True) for _ in range(self._THIEVES)]
        for thread in self._threads:
            thread.start()

    def _steal(self) -> None:
        while not self._stop.is_set():
            with suppress(redis.RedisError):
                found: Any = self.instance.client.brpop(["transactions"], timeout=0.2)
                if found:
                    self._held.append(found[1])

    def end_theft(self) -> list[bytes]:
        """What was taken."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        return self._held


class Lost(Thief):
    """What is taken never comes back."""

    def heal(self) -> None:
        self.end_theft()


class Held(Thief):
    """What is taken comes back late, in another order."""

    copies = 1

    def heal(self) -> None:
        back = self.end_theft() * self.copies
        self.chance.shuffle(back)
        if back:
            self.instance.client.lpush("transactions", *back)


class Delayed(Thief):
    """What is taken comes back minutes later, when all of it has long been done otherwise."""

    _MINUTES = (1.0, 3.0)

    def heal(self) -> None:
        back = self.end_theft()
        due = time.monotonic() + 60 * self.chance.uniform(*self._MINUTES)
        if back:
            self.instance.later.append((due, lambda: self.instance.client.lpush("transactions", *back)))


class Doubled(OnQueue):
    """What a worker has just taken is delivered again, at once and to anybody, from what kombu keeps of it."""

    def inject(self) -> None:
        self._stop = threading.Event()
        self._seen: dict[bytes, bytes] = {}
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def heal(self) -> None:
        self._stop.set()
        self._thread.join(10)
        # And once more, when all of it is done.
        for message in self._seen.values():
            self.instance.client.lpush("transactions", message)

    def _copy(self) -> None:
        while not self._stop.wait(0.002):
            with suppress(redis.RedisError, ValueError):
                taken: Any = self.instance.client.hgetall("unacked")
                for tag, value in taken.items():
                    message, _, queue = json.loads(value)
                    if queue == "transactions" and tag not in self._seen:
                        # A new tag, or kombu would take it for the same delivery.
                        message["properties"]["delivery_tag"] = f"again-{tag.decode()}"
                        self._seen[tag] = self._seen[b"again-" + tag] = json.dumps(message).encode()
                        self.instance.client.lpush("transactions", self._seen[tag])


class HeldAndDoubled(Held):
    """Late, out of order, and three of each."""

    copies = 3


class Garbage(OnQueue):
    """Bytes that no producer of ours would send."""

    def inject(self) -> None:
        messages = [
            b'{"body": "W10=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": '
            b'"py", "task": "no.such.task", "id": "chaos-1"}, "properties": {"correlation_id": "chaos-1", '
            b'"delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "transactions"}, "priority": 0, '
            b'"body_encoding": "base64", "delivery_tag": "chaos-tag-1"}}',
            b'{"body": "!!!!", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": '
            b'"py", "task": "transactions.process", "id": "chaos-2"}, "properties": {"correlation_id": "chaos-2", '
            b'"delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "transactions"}, "priority": 0, '
            b'"body_encoding": "base64", "delivery_tag": "chaos-tag-2"}}',
        ]
        self.instance.client.lpush("transactions", *messages)


register("queues-deleted", Deleted, lasts=(0.5, 3.0), touches=["queue"])
register("unacked-deleted", UnackedDeleted, touches=["queue"])
register("messages-lost", Lost, lasts=(0.5, 3.0), touches=["queue"])
register("messages-held", Held, lasts=(2.0, 6.0), touches=["queue"])
register("messages-delayed-by-minutes", Delayed, lasts=(1.0, 3.0), touches=["queue"])
register("messages-doubled", Doubled, lasts=(0.5, 2.0), touches=["queue"])
register("messages-held-and-tripled", HeldAndDoubled, lasts=(2.0, 4.0), touches=["queue"])
register("queue-garbage", Garbage, touches=["queue"])
