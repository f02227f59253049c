"""Accounts found through the secondary indexes, each checked against its record before it is returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from banking.ledger.records import HEADER_SIZE, OWNER_AT
from rpc.encoding.token_layout import delegate_of, is_token_account
from rpc.index.filters import Filter, passes
from rpc.jsonrpc.errors import KEY_EXCLUDED_FROM_SECONDARY_INDEX, RpcError, invalid_params, node_unhealthy
from rpc.jsonrpc.params import Commitment
from rpc.jsonrpc.registry import Call
from rpc.methods.account_view import Records, Sizes, read_accounts, settled_slot, slot_at

_PAGE = 2000
_PAGE_BYTES = 4 * 1024 * 1024
_CATCH_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the accounts found, and the slot they are true at."""

    slot: int
    keys: list[bytes]
    records: list[bytes]


async def find_accounts(
    call: Call, by: str, value: bytes, commitment: Commitment, filters: Sequence[Filter] = ()
) -> AsyncIterator[Page]:
    """The accounts whose `by` (program, mint, owner, delegate) is `value` and which pass `filters`, in pages.

    There is at least one page, and each holds a bounded number of bytes: use it up before the next one. Raises -32005
    while the index is being built, -32010 when the ledger holds more accounts than it may.
    """
    context = call.context
    snapshot = await context.ledger.reader.read()
    if not await context.indexes.follower.wait_for(snapshot, _CATCH_UP_SECONDS):
        raise node_unhealthy("Node is unhealthy: the account index is being built")
    if context.indexes.accounts.overflowed:
        raise RpcError(
            KEY_EXCLUDED_FROM_SECONDARY_INDEX,
            f"The ledger holds more than {context.settings.rpc.indexed_accounts} accounts, the most that "
            "this node indexes; this RPC method is unavailable",
        )
    candidates = context.indexes.accounts.find(by, value)
    yield Page(slot_at(snapshot, commitment), [], [])
    if not candidates:
        return
    if len(candidates) > _PAGE:
        await call.budget.heavy()
    limit, count = context.settings.rpc.listed_accounts, 0
    for first in range(0, len(candidates), _PAGE):
        async for read in _read_page(call, candidates[first : first + _PAGE]):
            slot = await settled_slot(call, read, commitment)
            keys = [
                key
                for key, record in read.records.items()
                if record and _is_still(record, by, value) and passes(filters, record)
            ]
            count += len(keys)
            if count > limit:
                raise invalid_params(f"More than {limit} accounts match, the most in one answer; ask with filters")
            yield Page(slot, keys, [read.records[key] for key in keys])


async def _read_page(call: Call, keys: list[bytes]) -> AsyncIterator[Records]:
    """The records of `keys`, in one piece if that is small."""
    read = await read_accounts(call, keys, _PAGE_BYTES, alone=True)
    if isinstance(read, Sizes):
        await call.budget.heavy()
    while isinstance(read, Sizes) and len(keys) == 1:
        read = await read_accounts(call, keys, read.total, alone=True)
    if isinstance(read, Records):
        yield read
        return
    for piece in _pieces(keys, read.sizes):
        async for records in _read_page(call, piece):
            yield records


def _pieces(keys: list[bytes], sizes: list[int]) -> Iterator[list[bytes]]:
    """`keys` in runs of at most a page's bytes, or of one key."""
    piece: list[bytes] = []
    total = 0
    for key, size in zip(keys, sizes, strict=True):
        if piece and total + size > _PAGE_BYTES:
            yield piece
            piece, total = [], 0
        piece.append(key)
        total += size
    yield piece


def _is_still(record: bytes, by: str, value: bytes) -> bool:
    if by == "program":
        return record[OWNER_AT:HEADER_SIZE] == value
    if not is_token_account(record):
        return False
    data = record[HEADER_SIZE:]
    match by:
        case "mint":
            return data[:32] == value
        case "owner":
            return data[32:64] == value
        case _:
            return delegate_of(data) == value
