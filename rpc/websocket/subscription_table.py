"""Subscriptions by what they are about, so that a transaction finds its subscribers without a search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rpc.websocket.subscription import Subscription


class SubscriptionTable:
    """All open subscriptions by kind and topic."""

    def __init__(self) -> None:
        self._by: dict[str, defaultdict[bytes, dict[int, Subscription]]] = {}

    def __len__(self) -> int:
        return sum(len(group) for topics in self._by.values() for group in topics.values())

    def add(self, subscription: Subscription) -> None:
        topics = self._by.setdefault(subscription.kind, defaultdict(dict))
        topics[subscription.topic][subscription.id] = subscription

    def remove(self, subscription: Subscription) -> None:
        topics = self._by.get(subscription.kind)
        if topics is None or subscription.topic not in topics:
            return
        group = topics[subscription.topic]
        group.pop(subscription.id, None)
        if not group:
            del topics[subscription.topic]

    def any(self, kind: str) -> bool:
        """Whether there are subscriptions to `kind`."""
        return bool(self._by.get(kind))

    def any_topic(self, kind: str) -> bool:
        """Whether there are subscriptions of `kind` that name a topic."""
        topics = self._by.get(kind)
        return topics is not None and any(topics)

    def find(self, kind: str, topic: bytes = b"", *, settled: bool | None = None) -> list[Subscription]:
        """The subscriptions to `topic`; with `settled`, only those of that sort of commitment."""
        topics = self._by.get(kind)
        group = topics.get(topic) if topics else None
        if not group:
            return []
        if settled is None:
            return list(group.values())
        return [subscription for subscription in group.values() if subscription.commitment.settled is settled]

    def all(self, kind: str) -> Iterable[Subscription]:
        return [subscription for group in self._by.get(kind, {}).values() for subscription in group.values()]
