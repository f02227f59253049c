"""Long runs with real faults. Only with `--chaos` (`make chaos`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import make_pipeline
from tests.integration.durability.conftest import own_node

__all__ = ["make_pipeline", "own_node"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Left out, not skipped, without the option."""
    if config.getoption("--chaos"):
        return
    chaos = [item for item in items if HERE in item.path.parents]
    if chaos:
        config.hook.pytest_deselected(items=chaos)
        items[:] = [item for item in items if item not in chaos]
