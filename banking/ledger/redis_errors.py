"""What an error of Redis means for the ledger: the one mapping, for the blocking and for the asynchronous client."""

from __future__ import annotations

import redis

from banking.errors import LedgerUnavailable
from config.addresses import refusal

#: States of a server that pass by themselves or by its operator's hand; they are no fault of the command.
_PASSING = ("LOADING", "BUSY", "READONLY", "MISCONF", "MASTERDOWN", "UNBLOCKED")


def unavailable(error: redis.RedisError, *, doing: str) -> LedgerUnavailable | None:
    """The LedgerUnavailable that `error` comes to while `doing` ("read" or "write"); None when it is no outage."""
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        refused = refusal(error)
        return LedgerUnavailable(
            f"{refused}. Correct TRUNKLINE_REDIS_URL" if refused else f"Redis does not answer: {error}"
        )
    text = str(error)
    # redis-py knows it by type and drops the word; from inside a script it is somewhere in the text.
    if isinstance(error, redis.OutOfMemoryError) or "OOM" in text:
        return LedgerUnavailable("Redis is out of memory and refused the write; nothing of it was done")
    if text.startswith(_PASSING):
        return LedgerUnavailable(f"Redis cannot {doing} now: {text}")
    return None
