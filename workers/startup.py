"""What is checked once before a worker, beat or Flower starts, so that a mistake is one clear line and not a log."""

from __future__ import annotations

import sys
from typing import Any

import redis
from celery.signals import beat_init, celeryd_init

from banking.connections import ledger_client
from config.addresses import masked, refusal
from config.errors import ConfigurationError
from config.settings import get_settings, require_known_variables


def check_settings() -> None:
    """Raises ConfigurationError for a variable that nobody knows, a wrong value, or a Redis that refuses us.

    A Redis that is away is waited for later, as by every worker.
    """
    require_known_variables()
    settings = get_settings()
    try:
        with ledger_client(settings) as client:
            client.ping()
    except redis.RedisError as error:
        if problem := refusal(error):
            raise ConfigurationError(f"TRUNKLINE_REDIS_URL ({masked(settings.ledger_url())}): {problem}.") from error


def start_or_explain(**_: Any) -> None:
    """End the process with the reason in words when it cannot work."""
    try:
        check_settings()
    except ConfigurationError as error:
        # A signal's exceptions are logged and forgotten; this one goes through.
        sys.exit(f"Error: {error}")


def install() -> None:
    """Check whenever this process becomes a Celery worker or beat. (Flower has no signal: see `flowerconfig`.)"""
    celeryd_init.connect(start_or_explain, weak=False, dispatch_uid="trunkline")
    beat_init.connect(start_or_explain, weak=False, dispatch_uid="trunkline")
