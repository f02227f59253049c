"""Servers for the tests of the RPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.rpc.node import Node

MakeNode = Callable[..., Node]


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
