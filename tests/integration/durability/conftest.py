"""Ledgers that lose their Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.durability.node import Node, running_node
from tests.support.redis_servers import MakeRedis
from workers.supervisor.embedded_redis import EmbeddedRedis


@pytest.fixture
def node(redis_server: EmbeddedRedis, redis_url: str, tmp_path: Path) -> Iterator[Node]:
    """A ledger with a few final transfers, on the session's server: it may be emptied, not stopped."""
    with running_node(redis_server, tmp_path / "node") as node:
        yield node


@pytest.fixture
def own_node(make_redis: MakeRedis, tmp_path: Path) -> Iterator[Node]:
    """The same on a server of its own, which the test may stop, kill and give other files."""
    with running_node(make_redis(), tmp_path / "node") as node:
        yield node
