"""Long runs with real faults. Only with `--chaos` (`make chaos`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.durability.node import Node, running_node
from tests.support.redis_servers import MakeRedis

HERE = Path(__file__).parent
#: The tests of the storm's own parts, and a short storm.
ALWAYS = {"test_schedule.py", "test_checker.py", "test_planted.py", "test_short_storm.py"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Left out, not skipped, without the option; what is quick, and one short storm, always run."""
    if config.getoption("--chaos"):
        return
    chaos = [item for item in items if HERE in item.path.parents and item.path.name not in ALWAYS]
    if chaos:
        config.hook.pytest_deselected(items=chaos)
        items[:] = [item for item in items if item not in chaos]


@pytest.fixture
def own_node(make_redis: MakeRedis, tmp_path: Path) -> Iterator[Node]:
    """The same on a server of its own, which the test may stop, kill and give other files."""
    with running_node(make_redis(), tmp_path / "node") as node:
        yield node
