"""docker-compose.yml, read once, as fixtures."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

#: The services that run our image.
OURS = {"init", "worker", "maintenance", "beat", "flower", "rpc"}


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The file."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its services, by name."""
    found: dict[str, dict[str, Any]] = compose["services"]
    return found
