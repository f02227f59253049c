"""Loading a restored state into the keys of a new epoch, beside whatever is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from banking.errors import RestoreFailed
from banking.keys import EpochKeys
from banking.ledger import Ledger
from banking.records import lamports_of
from banking.snapshot import (
    ACCOUNTS,
    BLOCKHASHES,
    STATUSES,
    Fold,
    account_rows,
    blockhash_rows,
    is_recent,
    status_rows,
)
from recovery.checkpoints.components import ComponentLayer

_FLUSH_EVERY = 8
Progress = Callable[[int], None]


class EpochLoader:
    """Writes one epoch's accounts, statuses and blockhashes, and counts what it wrote."""

    def __init__(self, ledger: Ledger, keys: EpochKeys, progress: Progress) -> None:
        self._ledger = ledger
        self._keys = keys
        self._progress = progress
        self._pipe = ledger.client.pipeline(transaction=False)
        self._waiting = 0
        self.accounts = 0
        self.lamports = 0

    def load(self, layers: Sequence[ComponentLayer], fold: Fold, head_slot: int) -> None:
        """Load a chain of checkpoints (none: from nothing) with the later blocks in `fold` on top.

        Raises BadCheckpoint at the first damaged byte, LedgerUnavailable.
        """
        changes = self._changes(layers, fold)
        if layers:
            for batch in layers[0].read(ACCOUNTS):
                self._accounts(row for row in account_rows(batch) if row[0] not in changes)
        self._accounts((key, version, record) for key, (version, record) in changes.items() if record)
        self._statuses(layers, fold, head_slot)
        self._flush()

    def _changes(self, layers: Sequence[ComponentLayer], fold: Fold) -> dict[bytes, tuple[int, bytes]]:
        changes: dict[bytes, tuple[int, bytes]] = {}
        for layer in layers[1:]:
            for batch in layer.read(ACCOUNTS):
                changes.update((key, (version, record)) for key, version, record in account_rows(batch))
        changes.update(fold.accounts)
        return changes

    def _accounts(self, rows: Iterable[tuple[bytes, int, bytes]]) -> None:
        records: list[bytes] = []
        versions: list[bytes | int] = []
        for key, version, record in rows:
            records += (key, record)
            versions += (key, version)
            self.lamports += lamports_of(record)
            if len(records) >= 4_000:
                self._put_accounts(records, versions)
                records, versions = [], []
        self._put_accounts(records, versions)

    def _put_accounts(self, records: list[bytes], versions: list[bytes | int]) -> None:
        self.accounts += len(records) // 2
        self._hset(self._keys.accounts, records)
        self._hset(self._keys.versions, versions)

    def _statuses(self, layers: Sequence[ComponentLayer], fold: Fold, head_slot: int) -> None:
        for layer in layers:
            for batch in layer.read(STATUSES):
                rows = [row for row in status_rows(batch) if is_recent(row[1], head_slot)]
                self._put_statuses(rows)
            for batch in layer.read(BLOCKHASHES):
                self._hset(self._keys.blockhashes, [part for row in blockhash_rows(batch) for part in row])
        self._put_statuses(list(fold.recent_statuses(head_slot)))
        recent = [part for row in fold.recent_blockhashes(head_slot) for part in row]
        self._hset(self._keys.blockhashes, recent)

    def _put_statuses(self, rows: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        for first in range(0, len(rows), 2_000):
            some = rows[first : first + 2_000]
            self._hset(self._keys.status, [part for row in some for part in row[:2]])
            self._hset(self._keys.messages, [part for row in some if row[2] for part in (row[2], row[0])])

    def _hset(self, key: str, flat: Sequence[bytes | int]) -> None:
        if not flat:
            return
        self._pipe.hset(key, items=list(flat))
        self._waiting += 1
        if self._waiting >= _FLUSH_EVERY:
            self._flush()

    def _flush(self) -> None:
        self._ledger.call(self._pipe.execute)
        self._waiting = 0
        self._progress(self.accounts)


def check_totals(loader: EpochLoader, supply: int, burned: int) -> None:
    """Raises RestoreFailed unless the accounts hold the supply less what was burned (I1)."""
    if loader.lamports != supply - burned:
        raise RestoreFailed(
            f"the restored accounts hold {loader.lamports} lamports instead of {supply} less {burned} burned"
        )
