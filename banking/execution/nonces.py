"""Durable nonces: a transaction is valid until the nonce it names is advanced, which it does even when it fails."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection
from enum import Enum, auto
from typing import Any

from banking.execution.sysvars import LAMPORTS_PER_SIGNATURE
from banking.ledger.records import HEADER_SIZE, unpack_account
from banking.ledger.slot_context import SlotContext
from banking.transaction import SignedTransaction

_SYSTEM = bytes(32)
_ADVANCE = (4).to_bytes(4, "little")
_PREFIX = b"DURABLE_NONCE"
#: Version u32, state u32, authority, durable nonce, lamports per signature u64.
_STATE = struct.Struct("<II32s32sQ")
_CURRENT, _INITIALIZED = 1, 1


class Nonce(Enum):
    """What a transaction's nonce account makes of it."""

    NONE = auto()
    USABLE = auto()
    #: It was advanced in this very slot, and can be used from the next one on.
    NOT_YET = auto()


def durable_nonce(context: SlotContext) -> bytes:
    """The value that a nonce gets when it is made or advanced in a slot."""
    return hashlib.sha256(_PREFIX + context.blockhash).digest()


def nonce_key(transaction: SignedTransaction, writable: Collection[bytes]) -> bytes | None:
    """The nonce account that the first instruction advances, a static one among the `writable`; None without."""
    key = advanced_nonce(transaction.parsed.message)
    return key if key in writable else None


def advanced_nonce(message: Any) -> bytes | None:
    """The account that the first instruction of a message advances, if it stands in the message itself."""
    if not message.instructions:
        return None
    first = message.instructions[0]
    keys = message.account_keys
    if bytes(keys[first.program_id_index]) != _SYSTEM or bytes(first.data)[:4] != _ADVANCE or not first.accounts:
        return None
    place = bytes(first.accounts)[0]
    return bytes(keys[place]) if place < len(keys) else None


def stored_nonce(record: bytes) -> bytes | None:
    """The value of the nonce in an account's record, None when it is no initialized nonce."""
    if len(record) < HEADER_SIZE + _STATE.size:
        return None
    account = unpack_account(record)
    version, state, _, stored, _ = _STATE.unpack_from(account.data)
    found: bytes = stored
    return found if account.owner == _SYSTEM and (version, state) == (_CURRENT, _INITIALIZED) else None


def judge_nonce(transaction: SignedTransaction, record: bytes, context: SlotContext) -> Nonce:
    """Whether `record`, the account at `nonce_key`, lets `transaction` run although its blockhash is not recent."""
    if len(record) < HEADER_SIZE + _STATE.size:
        return Nonce.NONE
    account = unpack_account(record)
    version, state, authority, stored, _ = _STATE.unpack_from(account.data)
    if account.owner != _SYSTEM or (version, state) != (_CURRENT, _INITIALIZED) or stored != transaction.blockhash:
        return Nonce.NONE
    if authority not in _signers_of_first(transaction):
        return Nonce.NONE
    return Nonce.NOT_YET if stored == durable_nonce(context) else Nonce.USABLE


def advanced(record: bytes, context: SlotContext) -> bytes:
    """The nonce account after a transaction that used it and failed."""
    data = record[HEADER_SIZE:]
    _, _, authority, _, _ = _STATE.unpack_from(data)
    state = _STATE.pack(_CURRENT, _INITIALIZED, authority, durable_nonce(context), LAMPORTS_PER_SIGNATURE)
    return record[:HEADER_SIZE] + state + data[_STATE.size :]


def _signers_of_first(transaction: SignedTransaction) -> set[bytes]:
    message = transaction.parsed.message
    signers = message.header.num_required_signatures
    return {bytes(message.account_keys[place]) for place in bytes(message.instructions[0].accounts) if place < signers}
