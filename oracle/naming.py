"""Which accounts a transaction names, looked-up ones included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from solders.message import MessageV0, VersionedMessage
from solders.transaction import VersionedTransaction

from oracle import records
from oracle.errors import OracleError

AnyMessage = VersionedMessage
#: Bytes before the first address of a lookup table.
_TABLE_HEAD = 56


@dataclass(frozen=True, slots=True)
class Named:
    """Keys in the order of the message: static ones, then looked-up writable ones, then looked-up readonly ones."""

    static: list[bytes]
    writable: list[bytes]
    readonly: list[bytes]

    @property
    def keys(self) -> list[bytes]:
        """All of them."""
        return [*self.static, *self.writable, *self.readonly]


def named(transaction: VersionedTransaction, accounts: Mapping[bytes, bytes]) -> Named:
    """The accounts of `transaction`, its tables being read in `accounts`; what a table lacks is left out."""
    message = transaction.message
    found = Named([bytes(key) for key in message.account_keys], [], [])
    if isinstance(message, MessageV0):
        for lookup in message.address_table_lookups:
            table = records.data(accounts.get(bytes(lookup.account_key), b""))[_TABLE_HEAD:]
            addresses = [table[at : at + 32] for at in range(0, len(table) - 31, 32)]
            found.writable.extend(addresses[i] for i in lookup.writable_indexes if i < len(addresses))
            found.readonly.extend(addresses[i] for i in lookup.readonly_indexes if i < len(addresses))
    return found


def is_static_writable(message: AnyMessage, place: int) -> bool:
    """Whether the account at `place` stands in the message itself, and is writable by its header."""
    header, count = message.header, len(message.account_keys)
    if place < header.num_required_signatures:
        return place < header.num_required_signatures - header.num_readonly_signed_accounts
    return place < count - header.num_readonly_unsigned_accounts


def with_blockhash(raw: bytes, transaction: VersionedTransaction, blockhash: bytes) -> VersionedTransaction:
    """The transaction with another blockhash in its message; its signatures then mean nothing."""
    message = transaction.message
    # Signatures (counted in one byte), a version byte if there is one, three bytes of header, keys (counted in one).
    start = 1 + 64 * len(transaction.signatures) + isinstance(message, MessageV0)
    at = start + 3 + 1 + 32 * len(message.account_keys)
    if raw[at : at + 32] != bytes(message.recent_blockhash):
        raise OracleError("a transaction is not laid out as expected")
    return VersionedTransaction.from_bytes(raw[:at] + blockhash + raw[at + 32 :])
