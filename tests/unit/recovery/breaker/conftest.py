"""Worlds for suites that hold with and without Redis."""

from __future__ import annotations

import pytest

from tests.support.breaker.worlds import World


@pytest.fixture(params=["local", "shared"])
def world(request: pytest.FixtureRequest) -> World:
    """Once a breaker of one process, once one shared through Redis."""
    return World(request.param)


@pytest.fixture
def fleet() -> World:
    """A breaker shared through Redis."""
    return World("shared")
