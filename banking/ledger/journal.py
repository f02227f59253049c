"""The journal: every outcome in the order of its sequence number, with the accounts it wrote; a stream entry a commit.

What the accounts hold stands beside it: `images` has the newest record of every account written in a slot, for the
open slot and the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from banking.errors import JournalGap
from banking.ledger.journal_format import unpack_outcomes, unpack_transactions
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome, unpack_outcome
from banking.ledger.scripts import IMAGES_EVEN, IMAGES_ODD, JOURNAL
from banking.ledger.stored_account import record_of

#: Stream entries in one answer of Redis, a commit each.
_PAGE = 16
#: Fields of a stream entry: a commit's, and those of one outcome as layout 2 kept it.
_NAMES = [b"n", b"t", b"h", b"o"]
_NAMES_2 = [b"t", b"r", b"f", b"d", b"w"]
_KEY_BYTES = 32
#: Bytes of records in one answer of Redis; a single larger record comes alone.
_IMAGE_PAGE_BYTES = 8 * 1024 * 1024
_IMAGE_PAGE = 4_000
#: How commit.lua marks an account that is gone; a record is longer.
GONE = b"-"


class JournalEntry(msgspec.Struct, frozen=True):
    """One outcome. `raw` is the transaction (b"" for a genesis), `value` its status as stored, `detail` packed.

    `written` are the keys of the accounts it changed, 32 bytes each, one after the other; `burned` is in lamports.
    """

    slot: int
    seq: int
    raw: bytes
    value: bytes
    burned: int
    detail: bytes
    written: bytes

    @property
    def keys(self) -> list[bytes]:
        """The accounts it changed."""
        return split_keys(self.written)

    @property
    def signature(self) -> bytes:
        """The first signature; b"" for a genesis."""
        # One byte counts the signatures: a packet has no room for 128 of them.
        return self.raw[1:65]

    @property
    def outcome(self) -> Outcome:
        return unpack_outcome(self.value)

    @property
    def included(self) -> bool:
        """Whether it was paid for, and so is a transaction of its block in Solana's sense."""
        return self.burned > 0


def read_journal(
    ledger: Ledger, *, after_seq: int = 0, slot: int | None = None, page: int = _PAGE
) -> Iterator[JournalEntry]:
    """Entries with a higher sequence number than `after_seq`; those of one `slot` only, when it is given.

    The outcomes of `page` commits are fetched at a time.
    """
    epoch = ledger.epoch
    first = "-" if slot is None else f"{slot}-0"
    last = "+" if slot is None else f"{slot}"
    while True:
        found = ledger.run(JOURNAL, [first, last, page], epoch=epoch)
        for name, fields in found:
            for entry in _entries(name, fields):
                if entry.seq > after_seq:
                    yield entry
        if len(found) < page:
            return
        first = "(" + found[-1][0].decode()


def read_images(ledger: Ledger, slot: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """The newest records of `keys` within `slot`, which is open or the one before; b"" where the account is gone.

    What the slot did not write, or Redis holds no more, is left out.
    """
    epoch, script = ledger.epoch, IMAGES_ODD if slot % 2 else IMAGES_EVEN
    images: dict[bytes, bytes] = {}
    first = 0
    while first < len(keys):
        some = keys[first : first + _IMAGE_PAGE]
        found = ledger.run(script, [_IMAGE_PAGE_BYTES, *some], epoch=epoch)
        for key, stored in zip(some, found, strict=False):
            if stored is not None:
                images[key] = image_record(stored)
        first += len(found)
    return images


def image_record(stored: bytes) -> bytes:
    """The record in an entry of `images`, b"" for an account that is gone."""
    return b"" if stored == GONE else record_of(stored)


def written_by(entries: Iterable[JournalEntry]) -> list[bytes]:
    """The accounts that `entries` changed, each once, ascending."""
    return sorted(set(split_keys(b"".join([entry.written for entry in entries]))))


def split_keys(written: bytes) -> list[bytes]:
    """Account keys that stand one after the other."""
    return [written[at : at + _KEY_BYTES] for at in range(0, len(written), _KEY_BYTES)]


def journal_entries(name: bytes, fields: Mapping[bytes, bytes]) -> list[JournalEntry]:
    """The outcomes of the commit that stands in the stream under the id `name`, ascending."""
    slot, first = (int(number) for number in name.split(b"-"))
    if b"o" not in fields:
        return [JournalEntry(slot, first, fields[b"t"], fields[b"r"], int(fields[b"f"]), fields[b"d"], fields[b"w"])]
    pairs = zip(unpack_transactions(fields[b"t"]), unpack_outcomes(fields[b"o"]), strict=True)
    return [
        JournalEntry(slot, seq, raw, b"%d:%d:%s" % (slot, seq, result), burned, detail, written)
        for seq, (raw, (result, burned, detail, written)) in enumerate(pairs, first)
    ]


def _entries(name: bytes, fields: list[bytes]) -> list[JournalEntry]:
    if fields[::2] == _NAMES or fields[::2] == _NAMES_2:
        return journal_entries(name, dict(zip(fields[::2], fields[1::2], strict=True)))
    if fields[:8:2] == _NAMES_2[:4]:
        # Layout 1 had the records beside their keys; only what is run again after a restore is read of it.
        return journal_entries(name, dict(zip(_NAMES_2, [*fields[1:8:2], b"".join(fields[8::2])], strict=True)))
    raise JournalGap(f"journal entry {name.decode()} has fields {fields[::2]!r}")
