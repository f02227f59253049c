"""How commands reach the instance that the settings mean."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from banking import opening
from banking.ledger import Ledger
from config.app import app
from config.settings import get_settings
from tasks.submission import Submitter
from workers.presence import PresenceBoard


def open_ledger() -> Ledger:
    """The configured ledger. Raises ConfigurationError when no instance is known."""
    return opening.open_ledger(get_settings())


def open_submitter(ledger: Ledger) -> Submitter:
    """Submits to `ledger` through the configured broker."""
    return Submitter(ledger, app, get_settings())


def open_board(ledger: Ledger) -> PresenceBoard:
    """Who works for `ledger`."""
    return PresenceBoard(ledger.client, ledger.keys.name)


def masked(url: str) -> str:
    """`url` without its password, for people to see."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{host}"))
