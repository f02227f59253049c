"""Which accounts a transaction names, looked-up ones included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from oracle import records

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
