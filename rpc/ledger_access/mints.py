"""The decimals of mints: they never change, so each is asked for once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from banking.ledger import reads
from banking.ledger.records import HEADER_SIZE
from rpc.encoding.token_layout import is_mint, is_token_account, read_mint
from rpc.ledger_access.reader import LedgerReader

_MAX_KEPT = 100_000


class MintDecimals:
    """Remembers the decimals of the mints that were asked for."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader
        self._known: dict[bytes, int] = {}

    async def of(self, mints: Iterable[bytes]) -> Mapping[bytes, int]:
        """Decimals by mint; what is no mint (any more) and was never seen as one is left out."""
        decimals = self._known
        missing = [mint for mint in dict.fromkeys(mints) if mint not in decimals]
        if missing:
            wanted = reads.accounts(missing)
            snapshot = await self._reader.read(wanted)
            if len(decimals) > _MAX_KEPT:
                decimals.clear()
            for mint, record in zip(missing, snapshot.answer(wanted), strict=True):
                if record and is_mint(record):
                    decimals[mint] = read_mint(record[HEADER_SIZE:]).decimals
        return decimals


def mints_in(records: Sequence[bytes]) -> set[bytes]:
    """The mints of the token accounts among `records`."""
    return {record[HEADER_SIZE : HEADER_SIZE + 32] for record in records if record and is_token_account(record)}
