"""The accounts' part in an audit: does Redis hold what the outcomes say, while it goes on working?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from banking.ledger.journal import JournalEntry
from banking.ledger.ledger import State
from banking.ledger.records import lamports_of
from banking.ledger.versions import is_restored, is_written_by, sequence
from banking.restore.replay import Replay

Complain = Callable[[str, str], None]


@dataclass(slots=True)
class _Seen:
    """One account as it was read from Redis, some time between the start and the end of the audit."""

    version: bytes
    seq: int
    record: bytes
    #: Whether an outcome under that number wrote it.
    found: bool = False


@dataclass(slots=True)
class Scanned:
    """What a scan of Redis told, compared with a replay of the outcomes that goes by."""

    complain: Complain
    _accounts: dict[bytes, _Seen] = field(default_factory=dict)
    #: The newest write of each account that was there when the audit began.
    _newest: dict[bytes, int] = field(default_factory=dict)

    def add(self, key: bytes, version: bytes, record: bytes) -> None:
        """An account as it was just read; of one that is told twice the later reading counts."""
        self._accounts[key] = _Seen(version, self._sequence(key, version), record)

    def begin(self, replay: Replay) -> None:
        """The replay begins with what a checkpoint held."""
        for key, (seq, record) in replay.accounts.items():
            self._newest[key] = seq
            seen = self._accounts.get(key)
            if seen is not None and seen.seq == seq:
                seen.found = True
                self._compare(key, record, seen)

    def see(self, entry: JournalEntry, start_seq: int) -> None:
        """The next outcome of the replay; `start_seq` was the newest when the audit began."""
        for key in entry.keys:
            if entry.seq <= start_seq:
                self._newest[key] = entry.seq
            seen = self._accounts.get(key)
            if seen is not None and seen.seq == entry.seq:
                seen.found = True
                # A plain account is its own version, and names no transaction.
                named = b":" in seen.version and not self._was_restored(seen.version)
                if named and not is_written_by(seen.version, entry.signature):
                    self.complain("I5", f"account {_short(key)} has the version of another transaction")

    def compare_images(self, images: Mapping[bytes, bytes], replay: Replay) -> None:
        """The records that a slot left: byte for byte, where the scan saw what it wrote last."""
        for key in images:
            seen, current = self._accounts.get(key), replay.accounts.get(key)
            if seen is not None and current is not None and seen.seq == current[0]:
                self._compare(key, current[1], seen)

    def compare(self, replay: Replay, start_seq: int, end: State) -> None:
        """What is left to say at the end of the replay."""
        by_number: dict[int, bytes] = {}
        for key, seen in self._accounts.items():
            if seen.seq > end.seq:
                continue
            if b":" in seen.version and by_number.setdefault(seen.seq, seen.version) != seen.version:
                self.complain("I5", f"sequence number {seen.seq} was handed out twice: two versions carry it")
            if key not in self._newest and key not in replay.accounts and not seen.found:
                self.complain("I5", f"account {_short(key)} is not in the replay")
            elif seen.seq < self._newest.get(key, 0):
                self.complain("I5", f"account {_short(key)} has version {seen.seq}, not {self._newest[key]}")
            elif not seen.found:
                self.complain("I5", f"account {_short(key)} has version {seen.seq}, which did not write it")
            elif self._was_restored(seen.version) and not is_restored(seen.version, end.epoch):
                self.complain("I5", f"account {_short(key)} has the version of another epoch")
        for key, (seq, _) in replay.accounts.items():
            if seq <= start_seq and key not in self._accounts:
                self.complain("I5", f"account {_short(key)} is lost")

    def _compare(self, key: bytes, expected: bytes, seen: _Seen) -> None:
        if expected == seen.record:
            return
        self.complain("I5", f"account {_short(key)} differs from the replay")
        if lamports_of(expected) != lamports_of(seen.record):
            made = lamports_of(seen.record) - lamports_of(expected)
            self.complain("I1", f"account {_short(key)} has {made:+d} lamports that no transaction or genesis gave it")

    def _sequence(self, key: bytes, version: bytes) -> int:
        try:
            return sequence(version) if version else 0
        except ValueError:
            self.complain("I5", f"account {_short(key)} has {version!r} for a version")
            return 0

    @staticmethod
    def _was_restored(version: bytes) -> bool:
        return version.partition(b":")[2][:1] == b"e" and len(version.partition(b":")[2]) < 24


def _short(key: bytes) -> str:
    return f"{key.hex()[:16]}…"
