"""The ledgers of a Redis: which there are, and dropping one."""

from __future__ import annotations

import redis

from banking.ledger.keys import key_prefix
from banking.ledger.ledger import Ledger

_PAGE = 1_000
_DROPPED_AT_ONCE = 500


def served_ledgers(client: redis.Redis) -> list[str]:
    """The names of the ledgers on a Redis, ascending. Raises what redis-py raises."""
    before, after = key_prefix("*").split("*")
    suffix = f"{after}:meta"
    names = client.scan_iter(match=f"{before}*{suffix}", count=_PAGE)
    return sorted(name.decode().removeprefix(before).removesuffix(suffix) for name in names)


def drop_ledger(ledger: Ledger) -> int:
    """Delete every key of the ledger, those of its breakers and modes too; returns how many there were.

    Raises LedgerUnavailable.
    """
    pattern = f"{ledger.prefix}:*"
    names = list(ledger.call(lambda: list(ledger.client.scan_iter(match=pattern, count=_PAGE))))
    for first in range(0, len(names), _DROPPED_AT_ONCE):
        ledger.call(lambda page=names[first : first + _DROPPED_AT_ONCE]: ledger.client.unlink(*page))
    return len(names)
