"""The sysvars of a slot; see docs/execution.md for their definition."""

from __future__ import annotations

import struct

from solders.account import Account
from solders.pubkey import Pubkey

from banking.execution.native import SYSVAR_OWNER
from banking.ledger.slot_context import SlotContext

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
SLOT_HASHES = Pubkey.from_string("SysvarS1otHashes111111111111111111111111111")
SLOT_HISTORY = Pubkey.from_string("SysvarS1otHistory11111111111111111111111111")
RECENT_BLOCKHASHES = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
EPOCH_SCHEDULE = Pubkey.from_string("SysvarEpochSchedu1e111111111111111111111111")

SLOTS_PER_EPOCH = 432_000
LAMPORTS_PER_SIGNATURE = 5_000
_MAX_BLOCKHASHES = 150
_HISTORY_SLOTS = 1024 * 1024
# Solana gives these accounts their full size from the beginning.
_SLOT_HASHES_BYTES = 8 + 512 * 40
_BLOCKHASHES_BYTES = 8 + _MAX_BLOCKHASHES * 40
#: slot u64, epoch start i64, epoch u64, leader schedule epoch u64, unix time i64 (seconds).
_CLOCK = struct.Struct("<QqQQq")
#: slots per epoch u64, leader schedule offset u64, warmup u8, first normal epoch u64, first normal slot u64.
_SCHEDULE = struct.Struct("<QQ?QQ")
_U64 = struct.Struct("<Q")
EPOCH_SCHEDULE_DATA = _SCHEDULE.pack(SLOTS_PER_EPOCH, SLOTS_PER_EPOCH, False, 0, 0)


def sysvar_data(key: bytes, context: SlotContext) -> bytes | None:
    """The data of sysvar `key` in a slot; None when it is not one that depends on the slot."""
    make = _MAKERS.get(key)
    return make(context) if make else None


def sysvar_account(data: bytes) -> Account:
    """A sysvar's account with `data`."""
    return Account(lamports=1, data=data, owner=SYSVAR_OWNER, executable=False)


def _clock(context: SlotContext) -> bytes:
    epoch = context.slot // SLOTS_PER_EPOCH
    return _CLOCK.pack(context.slot, context.unix_seconds, epoch, epoch + 1, context.unix_seconds)


def _slot_hashes(context: SlotContext) -> bytes:
    rows = b"".join(_U64.pack(slot) + value for slot, value in context.parents)
    return (_U64.pack(len(context.parents)) + rows).ljust(_SLOT_HASHES_BYTES, b"\0")


def _recent_blockhashes(context: SlotContext) -> bytes:
    newest = context.parents[:_MAX_BLOCKHASHES]
    fee = _U64.pack(LAMPORTS_PER_SIGNATURE)
    rows = b"".join(value + fee for _, value in newest)
    return (_U64.pack(len(newest)) + rows).ljust(_BLOCKHASHES_BYTES, b"\0")


def _slot_history(context: SlotContext) -> bytes:
    # A bit vector: a tag, its words, its bits; slot k is bit k modulo the size, and no slot was ever skipped.
    bits = (1 << min(context.slot, _HISTORY_SLOTS)) - 1
    words = bits.to_bytes(_HISTORY_SLOTS // 8, "little")
    return b"\x01" + _U64.pack(_HISTORY_SLOTS // 64) + words + _U64.pack(_HISTORY_SLOTS) + _U64.pack(context.slot)


_MAKERS = {
    bytes(CLOCK): _clock,
    bytes(SLOT_HASHES): _slot_hashes,
    bytes(RECENT_BLOCKHASHES): _recent_blockhashes,
    bytes(SLOT_HISTORY): _slot_history,
}
#: Set in every slot: also programs that name no sysvar account can ask for these.
EVERY_SLOT = (bytes(CLOCK), bytes(SLOT_HASHES))
#: Set only where a transaction names them: nothing else can read them.
ON_DEMAND = (bytes(RECENT_BLOCKHASHES), bytes(SLOT_HISTORY))
#: Those that follow from the hashes of blocks, or from the slot by itself; the clock needs a time as well.
HASHED = frozenset((bytes(SLOT_HASHES), *ON_DEMAND))
#: Bytes of data, the same in every slot.
SIZES = {key: len(make(SlotContext(0, 0, ()))) for key, make in _MAKERS.items()}
