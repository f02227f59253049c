"""Durable nonces, as `docs/execution.md` says: who may use one as blockhash, and how it advances."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from solders.transaction import VersionedTransaction

from oracle import records
from oracle.naming import AnyMessage, is_static_writable
from oracle.sysvars import LAMPORTS_PER_SIGNATURE

_SYSTEM = bytes(32)
#: AdvanceNonceAccount, as the System program's instruction tag.
_ADVANCE = (4).to_bytes(4, "little")
#: Version "current", state "initialized"; then authority, nonce, lamports per signature.
_INITIALIZED = (1).to_bytes(4, "little") * 2
_BYTES = 80


def next_nonce(environment_blockhash: bytes) -> bytes:
    """The durable nonce that an advance stores."""
    return hashlib.sha256(b"DURABLE_NONCE" + environment_blockhash).digest()


def nonce_account(
    transaction: VersionedTransaction, accounts: Mapping[bytes, bytes], environment_blockhash: bytes
) -> bytes | None:
    """The account whose nonce `transaction` may use as its blockhash; None when it may not."""
    message = transaction.message
    place = _advanced_place(message)
    if place is None:
        return None
    key = bytes(message.account_keys[place])
    record = accounts.get(key, b"")
    state = records.data(record)
    if records.owner(record) != _SYSTEM or len(state) < _BYTES or state[:8] != _INITIALIZED:
        return None
    authority, stored = state[8:40], state[40:72]
    signing = range(message.header.num_required_signatures)
    signers = {bytes(message.account_keys[at]) for at in bytes(message.instructions[0].accounts) if at in signing}
    if stored != bytes(message.recent_blockhash) or stored == next_nonce(environment_blockhash):
        return None
    return key if authority in signers else None


def advanced(record: bytes, environment_blockhash: bytes) -> bytes:
    """The record of a nonce account after its nonce was used."""
    head, state = record[: records.HEAD_BYTES], records.data(record)
    nonce = next_nonce(environment_blockhash)
    return head + state[:40] + nonce + LAMPORTS_PER_SIGNATURE.to_bytes(8, "little") + state[_BYTES:]


def _advanced_place(message: AnyMessage) -> int | None:
    """The place of the nonce account, when the first instruction advances one that is static and writable."""
    keys = message.account_keys
    if not message.instructions:
        return None
    first = message.instructions[0]
    indexes = bytes(first.accounts)
    if bytes(keys[first.program_id_index]) != _SYSTEM or bytes(first.data)[:4] != _ADVANCE or not indexes:
        return None
    place = indexes[0]
    return place if is_static_writable(message, place) else None
