"""The latest transactions by signature and by address."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from solders.transaction import VersionedTransaction

from banking.execution.transaction_meta import unpack_transaction_meta
from banking.ledger.journal import JournalEntry
from rpc.encoding.memo import memo_of


@dataclass(frozen=True, slots=True)
class Past:
    """One transaction as `getSignaturesForAddress` lists it; `err` is JSON text."""

    slot: int
    seq: int
    signature: bytes
    err: str | None
    memo: str | None
    addresses: tuple[bytes, ...]


class History:
    """At most `limit` transactions, the oldest forgotten first. Only what was paid for is listed by address."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._order: deque[Past] = deque()
        self._by_signature: dict[bytes, Past] = {}
        self._by_address: defaultdict[bytes, deque[Past]] = defaultdict(deque)
        self._known: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def first_slot(self) -> int | None:
        """The slot of the oldest transaction remembered."""
        return self._order[0].slot if self._order else None

    def add(self, entry: JournalEntry, parsed: VersionedTransaction) -> None:
        """Remember the newest transaction."""
        past = self._past(entry, parsed)
        self._order.append(past)
        self._by_signature[past.signature] = past
        for address in past.addresses:
            self._by_address[address].append(past)
        while len(self._order) > self.limit:
            self._forget_oldest()

    def add_older(self, entry: JournalEntry, parsed: VersionedTransaction) -> None:
        """Remember a transaction from before all that are known, unless the history is full."""
        if self.full:
            return
        past = self._past(entry, parsed)
        self._order.appendleft(past)
        self._by_signature.setdefault(past.signature, past)
        for address in past.addresses:
            self._by_address[address].appendleft(past)

    @property
    def full(self) -> bool:
        return len(self._order) >= self.limit

    def find(self, signature: bytes) -> Past | None:
        """The transaction with this first signature."""
        return self._by_signature.get(signature)

    def newest_first(self, address: bytes) -> Iterator[Past]:
        """The transactions that name `address`."""
        return reversed(self._by_address.get(address, ()))

    def clear(self) -> None:
        self._order.clear()
        self._by_signature.clear()
        self._by_address.clear()
        self._known.clear()

    def _past(self, entry: JournalEntry, parsed: VersionedTransaction) -> Past:
        return Past(
            entry.slot,
            entry.seq,
            entry.signature,
            entry.outcome.err,
            memo_of(parsed.message),
            tuple(self._shared(address) for address in addresses_of(entry, parsed)) if entry.included else (),
        )

    def _shared(self, address: bytes) -> bytes:
        # One object for all mentions of an address.
        return self._known.setdefault(address, address)

    def _forget_oldest(self) -> None:
        past = self._order.popleft()
        self._by_signature.pop(past.signature, None)
        for address in past.addresses:
            mentions = self._by_address[address]
            mentions.popleft()
            if not mentions:
                del self._by_address[address]
                self._known.pop(address, None)


def addresses_of(entry: JournalEntry, parsed: VersionedTransaction) -> Iterable[bytes]:
    """All accounts of a transaction, those from lookup tables too, each once."""
    keys = dict.fromkeys(map(bytes, parsed.message.account_keys))
    if (
        parsed.message.__class__.__name__ == "MessageV0"
        and (detail := unpack_transaction_meta(entry.detail)) is not None
    ):
        keys |= dict.fromkeys((*detail.loaded_writable, *detail.loaded_readonly))
    return keys
