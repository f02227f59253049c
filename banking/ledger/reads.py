"""What can be read of a ledger beside its counters, in the same atomic step: commands, and what their replies mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from banking.ledger.journal import JournalEntry, image_record, journal_entries
from banking.ledger.keys import EpochKeys, LedgerKeys
from banking.ledger.records import Outcome, unpack_outcome
from banking.ledger.scripts import ACCOUNTS, LUA
from banking.ledger.stored_account import record_of, version_of

#: The scripts that reads name by their hash.
SCRIPTS = (LUA[ACCOUNTS.name],)

Answer_co = TypeVar("Answer_co", covariant=True)


@dataclass(frozen=True, eq=False, slots=True)
class Read(Generic[Answer_co]):
    """A command: `words`, the Redis keys that are named `keys`, `arguments`; `parse` reads its reply.

    Names of keys are attributes of `LedgerKeys` or `EpochKeys`.
    """

    words: tuple[str | int, ...]
    keys: tuple[str, ...]
    arguments: Sequence[Any]
    parse: Callable[[Any], Answer_co]

    def command(self, lasting: LedgerKeys, epoch: EpochKeys) -> list[Any]:
        """The whole command, on the keys of one epoch of a ledger."""
        names = [getattr(lasting if hasattr(LedgerKeys, name) else epoch, name) for name in self.keys]
        return [*self.words, *names, *self.arguments]


@dataclass(frozen=True, slots=True)
class BoundedAccounts:
    """Accounts in the order asked: their sizes in bytes (0 = absent), and, if they fit, records and versions.

    A record is b"" and a version None where the account is absent.
    """

    fits: bool
    sizes: list[int]
    records: list[bytes]
    versions: list[bytes | None]


# ---- accounts


def accounts(keys: Sequence[bytes]) -> Read[list[bytes]]:
    """The records of accounts, b"" where one is absent."""
    return Read(("HMGET",), ("accounts",), keys, _records)


def bounded_accounts(keys: Sequence[bytes], max_bytes: int) -> Read[BoundedAccounts]:
    """Accounts, if their records have no more than `max_bytes` together; else only their sizes."""
    words = ("EVALSHA", LUA[ACCOUNTS.name].sha, len(ACCOUNTS.keys))
    return Read(words, ACCOUNTS.keys, [max_bytes, *keys], _bounded_accounts)


def images(slot: int, keys: Sequence[bytes]) -> Read[dict[bytes, bytes]]:
    """The newest records of `keys` within `slot`, which is open or the one before; b"" where the account is gone.

    What the slot did not write, or Redis holds no more, is left out.
    """

    def records(reply: Sequence[bytes | None]) -> dict[bytes, bytes]:
        return {key: image_record(image) for key, image in zip(keys, reply, strict=True) if image is not None}

    return Read(("HMGET",), ("images_odd" if slot % 2 else "images_even",), keys, records)


# ---- transactions


def outcome(signature: bytes) -> Read[Outcome | None]:
    """The recorded outcome of a transaction."""
    return Read(("HGET",), ("status",), [signature], _outcome)


def outcomes(signatures: Sequence[bytes]) -> Read[list[Outcome | None]]:
    """The recorded outcomes, in the order asked."""
    return Read(("HMGET",), ("status",), signatures, lambda reply: [_outcome(value) for value in reply])


def is_unresolved(signature: bytes) -> Read[bool]:
    """Whether the transaction is accepted and has no outcome yet."""
    return Read(("HEXISTS",), ("intake",), [signature], bool)


# ---- blockhashes


def blockhashes() -> Read[dict[bytes, int]]:
    """The blockhashes that are kept, and the slot at which each became recent."""
    return Read(("HGETALL",), ("blockhashes",), (), _slots_by_hash)


def slot_of_blockhash(blockhash: bytes) -> Read[int | None]:
    """The slot at which `blockhash` became recent, None when it is not kept."""
    return Read(("HGET",), ("blockhashes",), [blockhash], lambda reply: None if reply is None else int(reply))


# ---- the journal


def slot_entries(slot: int) -> Read[list[JournalEntry]]:
    """What the journal holds of one slot, ascending."""
    return Read(("XRANGE",), ("journal",), [f"{slot}-0", str(slot)], _entries)


def entry(slot: int, seq: int) -> Read[JournalEntry | None]:
    """One entry of the journal."""

    def found(reply: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> JournalEntry | None:
        return next((one for one in _entries(reply) if one.seq == seq), None)

    # It stands in the newest commit of the slot that does not begin behind it.
    return Read(("XREVRANGE",), ("journal",), [f"{slot}-{seq}", f"{slot}-0", "COUNT", 1], found)


def oldest_entry() -> Read[JournalEntry | None]:
    """The first entry that the journal still holds."""
    return Read(("XRANGE",), ("journal",), ["-", "+", "COUNT", 1], lambda reply: next(iter(_entries(reply)), None))


def newest_entry() -> Read[JournalEntry | None]:
    """The last entry of the journal."""
    return Read(
        ("XREVRANGE",), ("journal",), ["+", "-", "COUNT", 1], lambda reply: next(reversed(_entries(reply)), None)
    )


# ---- replies


def _records(reply: Sequence[bytes | None]) -> list[bytes]:
    return [record_of(stored or b"") for stored in reply]


def _bounded_accounts(reply: Sequence[Any]) -> BoundedAccounts:
    sizes, *contents = reply
    if not contents:
        return BoundedAccounts(False, sizes, [], [])
    stored, beside = contents
    versions = [version_of(value or b"", version) for value, version in zip(stored, beside, strict=True)]
    return BoundedAccounts(True, sizes, _records(stored), versions)


def _outcome(value: bytes | None) -> Outcome | None:
    return unpack_outcome(value) if value else None


def _slots_by_hash(reply: dict[bytes, bytes]) -> dict[bytes, int]:
    return {blockhash: int(slot) for blockhash, slot in reply.items()}


def _entries(reply: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[JournalEntry]:
    return [entry for name, fields in reply for entry in journal_entries(name, fields)]
