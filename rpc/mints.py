"""The decimals of mints: they never change, so each is asked for once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from banking.ledger.records import HEADER_SIZE
from rpc.encoding.token_layout import is_mint, is_token_account, read_mint

if TYPE_CHECKING:
    from rpc.services import Services

_MOST_KEPT = 100_000


async def decimals_of(services: Services, mints: Iterable[bytes]) -> Mapping[bytes, int]:
    """Decimals by mint; what is no mint (any more) and was never seen as one is left out."""
    known = services.decimals
    missing = [mint for mint in dict.fromkeys(mints) if mint not in known]
    if missing:
        snapshot = await services.reader.read(("HMGET", "accounts", *missing))
        if len(known) > _MOST_KEPT:
            known.clear()
        for mint, record in zip(missing, snapshot.answers[0], strict=True):
            if record and is_mint(record):
                known[mint] = read_mint(record[HEADER_SIZE:]).decimals
    return known


def mints_in(records: Sequence[bytes]) -> set[bytes]:
    """The mints of the token accounts among `records`."""
    return {record[HEADER_SIZE : HEADER_SIZE + 32] for record in records if record and is_token_account(record)}
