"""The two jobs that all frameworks get: one INCR, and one signed transfer applied exactly once.

Exactly once needs an idempotent job wherever messages may come again; a good user writes it as one atomic script.
"""

from __future__ import annotations

import base64
import os

import redis
from solders.transaction import VersionedTransaction

from benchmarks.peers import DONE

URL = os.environ.get("TRUNKLINE_REDIS_URL", "redis://127.0.0.1:6379")
AGAIN = "bench:again"

# KEYS signatures, balances, done, again; ARGV signature, payer, payee, lamports
APPLY = """
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return redis.call('INCR', KEYS[4]) end
redis.call('HINCRBY', KEYS[2], ARGV[2], -ARGV[4])
redis.call('HINCRBY', KEYS[2], ARGV[3], ARGV[4])
return redis.call('INCR', KEYS[3])
"""
KEYS = ("bench:signatures", "bench:balances", DONE, AGAIN)

client = redis.Redis.from_url(URL)
_apply = client.register_script(APPLY)


def incr() -> None:
    """One trivial round trip."""
    client.incr(DONE)


def checked(text: str) -> tuple[bytes, bytes, bytes, int]:
    """Signature, payer, payee and lamports of a transfer (base64). Raises when its signature is wrong."""
    transaction = VersionedTransaction.from_bytes(base64.b64decode(text))
    transaction.verify_and_hash_message()
    message = transaction.message
    payer, payee = message.account_keys[:2]
    lamports = int.from_bytes(bytes(message.instructions[0].data)[4:12], "little")
    return bytes(transaction.signatures[0]), bytes(payer), bytes(payee), lamports


def apply(text: str) -> None:
    """Verify and apply one signed transfer, once."""
    _apply(keys=KEYS, args=checked(text))
