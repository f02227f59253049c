"""Parts of `recovery` that keep or measure something on the ledger's Redis, under the ledger's prefix."""

from __future__ import annotations

from banking.ledger.ledger import Ledger
from recovery.degradation.signals import RedisMemoryRatio
from recovery.retry.budget import RetryBudget


def retry_budget(ledger: Ledger, name: str) -> RetryBudget:
    """The budget of retries that all workers of the ledger share."""
    return RetryBudget(ledger.client, name=name, prefix=f"{ledger.prefix}:budget")


def memory_signal(ledger: Ledger) -> RedisMemoryRatio:
    """How full the memory of the ledger's Redis is."""
    return RedisMemoryRatio(ledger.client)
