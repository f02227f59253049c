"""Servers for the tests of the RPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.rpc.node import MakeNode, Node
from tests.support.rpc.served import MakeServed, Served


@pytest.fixture
def make_node(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> Iterator[MakeNode]:
    """`make_node(**settings_and_plugs)`: a server over a new ledger."""
    nodes: list[Node] = []

    def make(**options: Any) -> Node:
        node = Node(redis_client, redis_url, tmp_path, **options)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """A server with its defaults."""
    return make_node()


@pytest.fixture
def make_served(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> Iterator[MakeServed]:
    """`make_served(**settings)`: a server on real sockets."""
    started: list[Served] = []

    def make(**options: Any) -> Served:
        served = Served(redis_client, redis_url, tmp_path, **options)
        started.append(served)
        served.start()
        return served

    yield make
    for served in started:
        served.stop()


@pytest.fixture
def served(make_served: MakeServed) -> Served:
    """A server on real sockets with its defaults."""
    return make_served()
