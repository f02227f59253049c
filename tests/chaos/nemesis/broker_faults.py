"""What a broker may do to messages: lose, double, reorder, delay, and carry garbage."""

from __future__ import annotations

from typing import Any

from tests.chaos.nemesis.kinds import Fault, register

QUEUES = ("transactions", "maintenance")


class OnQueue(Fault):
    """A fault of the transactions' queue, which in Redis is a list."""

    @property
    def queue(self) -> Any:
        return self.instance.client

    def messages(self) -> list[bytes]:
        found: Any = self.instance.client.lrange("transactions", 0, -1)
        return list(found)


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


class Held(OnQueue):
    """Messages are taken away while it lasts, and come back in another order, each of them twice."""

    copies = 1

    def inject(self) -> None:
        self._held: list[bytes] = []
        self.grab()

    def grab(self) -> None:
        """Take what is there now: all at once, so that nobody works on it."""
        with self.instance.client.pipeline() as pipe:
            pipe.lrange("transactions", 0, -1)
            pipe.delete("transactions")
            found = pipe.execute()[0]
        self._held += found

    def heal(self) -> None:
        self.grab()
        back = self._held * self.copies
        self.chance.shuffle(back)
        if back:
            self.instance.client.lpush("transactions", *back)


class Doubled(OnQueue):
    """Messages of in-flight work are delivered again, from what kombu keeps of them."""

    def inject(self) -> None:
        self._seen: list[bytes] = self.messages()

    def heal(self) -> None:
        self._seen += self.messages()
        if self._seen:
            self.instance.client.lpush("transactions", *self._seen * 2)


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
register("messages-held", Held, lasts=(2.0, 6.0), touches=["queue"])
register("messages-doubled", Doubled, lasts=(0.5, 2.0), touches=["queue"])
register("messages-held-and-tripled", HeldAndDoubled, lasts=(2.0, 4.0), touches=["queue"])
register("queue-garbage", Garbage, touches=["queue"])
