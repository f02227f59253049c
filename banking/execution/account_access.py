"""Which accounts a transaction touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from solders.message import MessageV0

from banking.execution.native import UPGRADEABLE_LOADER
from banking.execution.reserved import RESERVED
from banking.ledger.records import EXECUTABLE_AT, HEADER_SIZE, OWNER_AT, unpack_account
from banking.transaction import SignedTransaction

# Solana's layout of a lookup table account: 56 bytes of metadata, then 32-byte addresses.
_TABLE_METADATA_BYTES = 56
_KEY_BYTES = 32
# Variant tag of a program account of the upgradeable loader; its data address follows.
_PROGRAM_TAG = b"\x02\x00\x00\x00"
_UPGRADEABLE = bytes(UPGRADEABLE_LOADER)


class AccountAccess(msgspec.Struct, frozen=True):
    """Accounts of one transaction.

    `keys` in message order, those from lookup tables (`loaded_…`) last; those among them that are `writable` in
    fact (reserved keys never are); and those `implied` by them: the lookup tables, the data of upgradeable programs.
    """

    keys: tuple[bytes, ...]
    writable: tuple[bytes, ...]
    implied: tuple[bytes, ...] = ()
    loaded_writable: tuple[bytes, ...] = ()
    loaded_readonly: tuple[bytes, ...] = ()

    def reads(self) -> tuple[bytes, ...]:
        """Everything whose change would make the execution void."""
        return self.keys + self.implied


def static_accounts(transaction: SignedTransaction) -> AccountAccess:
    """The accounts named in the message itself."""
    # From the bytes, of which `parsed` is the only reading: a quarter of what solders' objects cost.
    raw, at = transaction.raw, transaction.header_at
    signers, readonly_signed, readonly_unsigned, count = raw[at : at + 4]
    first = at + 4
    keys = tuple([raw[place : place + _KEY_BYTES] for place in range(first, first + count * _KEY_BYTES, _KEY_BYTES)])
    writable = (*keys[: signers - readonly_signed], *keys[signers : count - readonly_unsigned])
    return AccountAccess(keys, tuple(_demoted(writable)), _table_keys(transaction))


def _demoted(keys: Sequence[bytes]) -> list[bytes]:
    """What of `keys` can be written: the one place where reserved keys lose what a message claims for them."""
    return [key for key in keys if key not in RESERVED]


def _table_keys(transaction: SignedTransaction) -> tuple[bytes, ...]:
    if not transaction.lookups:
        return ()
    message = cast("MessageV0", transaction.parsed.message)
    return tuple(bytes(lookup.account_key) for lookup in message.address_table_lookups)


def with_lookups(
    transaction: SignedTransaction, access: AccountAccess, records: Mapping[bytes, bytes]
) -> AccountAccess:
    """`access` with the addresses that its lookup tables name, as they stand in `records`.

    What a missing table or an index beyond its end mean is the VM's to say, so such entries are left out.
    """
    if not transaction.lookups:
        return access
    message = cast("MessageV0", transaction.parsed.message)
    writable: list[bytes] = []
    readonly: list[bytes] = []
    for lookup in message.address_table_lookups:
        addresses = _table_addresses(records.get(bytes(lookup.account_key), b""))
        writable += _pick(addresses, lookup.writable_indexes)
        readonly += _pick(addresses, lookup.readonly_indexes)
    return AccountAccess(
        (*access.keys, *writable, *readonly),
        (*access.writable, *_demoted(writable)),
        access.implied,
        tuple(writable),
        tuple(readonly),
    )


def _table_addresses(record: bytes) -> bytes:
    return unpack_account(record).data[_TABLE_METADATA_BYTES:] if record else b""


def _pick(addresses: bytes, indexes: bytes | list[int]) -> list[bytes]:
    places = (index * _KEY_BYTES for index in indexes)
    return [addresses[at : at + _KEY_BYTES] for at in places if at + _KEY_BYTES <= len(addresses)]


def program_data_key(record: bytes) -> bytes | None:
    """The address of the code, when `record` is a program of the upgradeable loader."""
    # Nearly no account is executable; this is asked of every record read.
    if not record or not record[EXECUTABLE_AT] or record[OWNER_AT:HEADER_SIZE] != _UPGRADEABLE:
        return None
    tag_end = HEADER_SIZE + len(_PROGRAM_TAG)
    return record[tag_end : tag_end + _KEY_BYTES] if record[HEADER_SIZE:tag_end] == _PROGRAM_TAG else None
