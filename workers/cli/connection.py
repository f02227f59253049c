"""How commands reach the instance that the settings mean."""

from __future__ import annotations

from banking import from_settings as opening
from banking.ledger.ledger import Ledger
from banking.ledger.worker_registry import WorkerRegistry
from config.app import app
from config.settings import get_settings
from tasks.submission import Submitter


def open_ledger() -> Ledger:
    """The configured ledger. Raises ConfigurationError when no instance is known."""
    return opening.open_ledger(get_settings())


def open_submitter(ledger: Ledger) -> Submitter:
    """Submits to `ledger` through the configured broker."""
    return Submitter(ledger, app, get_settings())


def open_registry(ledger: Ledger) -> WorkerRegistry:
    """The registry of the workers of `ledger`."""
    return WorkerRegistry.of(ledger)
