"""Loading a restored state into keys of its own, beside whatever is served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from banking.errors import RestoreFailed
from banking.ledger.ledger import Ledger
from banking.ledger.records import lamports_of
from banking.ledger.staging import StagedHash, write_staged
from banking.ledger.stored_account import is_plain, stored
from banking.ledger.versions import restored
from banking.restore.snapshot import (
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

#: Connections that write at the same time: Redis works on one batch while the next one travels.
_CONNECTIONS = 2
_ROWS_AT_ONCE = 2_000
#: Should nobody tidy up after a killed loader, its keys go by themselves after this many seconds without progress.
ABANDONED_SECONDS = 3_600
Progress = Callable[[int], None]


class EpochLoader:
    """Writes what `epoch` begins with for the holder of lease `token`, and counts what it wrote. A context manager."""

    def __init__(self, ledger: Ledger, token: str, epoch: int, progress: Progress) -> None:
        self._ledger = ledger
        self._token = token
        self._epoch = epoch
        self._progress = progress
        self._pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="restore")
        self._waiting: deque[Future[None]] = deque()
        self._names: dict[StagedHash, set[bytes]] = {"status": set(), "messages": set(), "blockhashes": set()}
        self.accounts = 0
        self.versions = 0
        self.lamports = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Nothing may be written after the caller has gone on to drop or to serve the keys.
        self._pool.shutdown(wait=True, cancel_futures=True)

    def load(self, layers: Sequence[ComponentLayer], fold: Fold, head_slot: int) -> None:
        """Load a chain of checkpoints (none: from nothing) with the later blocks in `fold` on top.

        Raises BadCheckpoint at the first damaged byte, LedgerUnavailable, and what `progress` raises.
        """
        changes = self._changes(layers, fold)
        if layers:
            for batch in layers[0].read(ACCOUNTS):
                rows = account_rows(batch)
                self._accounts([row for row in rows if row[0] not in changes] if changes else rows)
        self._accounts([(key, version, record) for key, (version, record) in changes.items() if record])
        self._statuses(layers, fold, head_slot)
        while self._waiting:
            self._take_one()

    def add_blockhash(self, blockhash: bytes, slot: int) -> None:
        """One more recent blockhash: that of the block which opens the epoch."""
        self._names["blockhashes"].add(blockhash)
        self._write([("blockhashes", [blockhash, slot])])

    def counts(self) -> list[int]:
        """How many fields accounts, versions, status, messages and blockhashes must have, in this order."""
        return [self.accounts, self.versions, *map(len, self._names.values())]

    def _changes(self, layers: Sequence[ComponentLayer], fold: Fold) -> dict[bytes, tuple[int, bytes]]:
        changes: dict[bytes, tuple[int, bytes]] = {}
        for layer in layers[1:]:
            for batch in layer.read(ACCOUNTS):
                changes.update((key, (version, record)) for key, version, record in account_rows(batch))
        changes.update(fold.accounts)
        return changes

    def _accounts(self, rows: Sequence[tuple[bytes, int, bytes]]) -> None:
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            page = rows[first : first + _ROWS_AT_ONCE]
            self.lamports += sum(lamports_of(record) for _, _, record in page)
            self.accounts += len(page)
            values = [(key, seq, stored(record, seq)) for key, seq, record in page]
            versioned = [(key, seq) for key, seq, value in values if not is_plain(value)]
            self.versions += len(versioned)
            self._put(("accounts", [part for key, _, value in values for part in (key, value)]))
            if versioned:
                self._put(("versions", [part for key, seq in versioned for part in (key, restored(seq, self._epoch))]))

    def _statuses(self, layers: Sequence[ComponentLayer], fold: Fold, head_slot: int) -> None:
        for layer in layers:
            for batch in layer.read(STATUSES):
                self._put_statuses([row for row in status_rows(batch) if is_recent(row[1], head_slot)])
            for batch in layer.read(BLOCKHASHES):
                self._put_pairs("blockhashes", blockhash_rows(batch))
        self._put_statuses(list(fold.recent_statuses(head_slot)))
        self._put_pairs("blockhashes", fold.recent_blockhashes(head_slot))

    def _put_statuses(self, rows: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            page = rows[first : first + _ROWS_AT_ONCE]
            self._put_pairs("status", [row[:2] for row in page])
            self._put_pairs("messages", [(row[2], row[0]) for row in page if row[2]])

    def _put_pairs(self, hash_name: StagedHash, pairs: Iterable[tuple[bytes, bytes | int]]) -> None:
        flat: list[bytes | int] = []
        for name, value in pairs:
            self._names[hash_name].add(name)
            flat += (name, value)
        if flat:
            self._put((hash_name, flat))

    def _put(self, *writes: tuple[StagedHash, Sequence[bytes | int]]) -> None:
        if len(self._waiting) >= 2 * _CONNECTIONS:
            self._take_one()
        self._waiting.append(self._pool.submit(self._write, writes))

    def _write(self, writes: Sequence[tuple[StagedHash, Sequence[bytes | int]]]) -> None:
        write_staged(self._ledger, self._token, writes, expiry=ABANDONED_SECONDS)

    def _take_one(self) -> None:
        self._waiting.popleft().result()
        self._progress(self.accounts)


def check_totals(loader: EpochLoader, supply: int, burned: int) -> None:
    """Raises RestoreFailed unless the accounts hold the supply less what was burned (I1)."""
    if loader.lamports != supply - burned:
        raise RestoreFailed(
            f"the restored accounts hold {loader.lamports} lamports instead of {supply} less {burned} burned"
        )
