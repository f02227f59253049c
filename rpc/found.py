"""Accounts found through the secondary indexes, each checked against its record before it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from banking.records import HEADER_SIZE, OWNER_AT
from rpc.encoding.token_layout import delegate_of, is_token_account
from rpc.errors import KEY_EXCLUDED_FROM_SECONDARY_INDEX, RpcError, invalid_params, node_unhealthy
from rpc.filters import Filter, passes
from rpc.params import Commitment
from rpc.registry import Call
from rpc.view import records_at, slot_at

_PAGE = 2000
_CATCH_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Found:
    """Accounts and the slot they are true at."""

    slot: int
    keys: list[bytes]
    records: list[bytes]


async def find_accounts(
    call: Call, by: str, value: bytes, commitment: Commitment, filters: Sequence[Filter] = ()
) -> Found:
    """The accounts whose `by` (program, mint, owner, delegate) is `value` and which pass `filters`.

    Raises -32005 while the index is being built, -32010 when the ledger holds more accounts than it may.
    """
    services = call.services
    snapshot = await services.reader.read()
    if not await services.follower.wait_for(snapshot, _CATCH_UP_SECONDS):
        raise node_unhealthy("Node is unhealthy: the account index is being built")
    if services.accounts.overflowed:
        raise RpcError(
            KEY_EXCLUDED_FROM_SECONDARY_INDEX,
            f"The ledger holds more than {services.settings.rpc_indexed_accounts} accounts, the most that "
            "this node indexes; this RPC method is unavailable",
        )
    candidates = services.accounts.find(by, value)
    slot, keys, records = slot_at(snapshot, commitment), [], []
    most = services.settings.rpc_listed_accounts
    for first in range(0, len(candidates), _PAGE):
        page = candidates[first : first + _PAGE]
        slot, found = await records_at(services, page, commitment, alone=True)
        for key, record in zip(page, found, strict=True):
            if record and _is_still(record, by, value) and passes(filters, record):
                keys.append(key)
                records.append(record)
        if len(keys) > most:
            raise invalid_params(f"More than {most} accounts match, the most in one answer; ask with filters")
    return Found(slot, keys, records)


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
