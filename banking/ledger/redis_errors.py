"""What an error of Redis means for the ledger: the one mapping, for the blocking and for the asynchronous client."""

from __future__ import annotations

import re

import redis

from banking.errors import LedgerUnavailable
from config.addresses import refusal

#: States of a server that pass by themselves or by its operator's hand; they are no fault of the command.
#: Redis puts them first; where a command inside a script is refused, Redis 6 puts them behind its own words.
_PASSING = re.compile(r"(?:^|.* -)((?:LOADING|BUSY|READONLY|MISCONF|MASTERDOWN|NOREPLICAS|UNBLOCKED)\b.*)", re.DOTALL)


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
    if isinstance(error, redis.exceptions.ReadOnlyError):
        # By type, too.
        return LedgerUnavailable(f"Redis cannot {doing} now: it is a copy of another server, or has become one: {text}")
    if passing := _PASSING.match(text):
        return LedgerUnavailable(f"Redis cannot {doing} now: {passing[1]}")
    return None
