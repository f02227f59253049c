"""The client of the ledger's Redis, as the settings name it."""

from __future__ import annotations

import redis

from config.settings import Settings
from recovery.connections import connect


def ledger_client(settings: Settings) -> redis.Redis:
    """A client of the ledger's Redis. Raises ConfigurationError when no server is known."""
    return connect(settings.ledger_url(), timeout=settings.redis.timeout)
