"""How many bytes a slot, and so a block, may have: bounded where they arise, so that what is archived can be read back.

`commit.lua` counts for every outcome the bytes that its block will have, a little generously: what `entry_bytes` and
`image_bytes` say here. The sum of an open slot stands in `state`.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
#: Solana's most for the data of one account, and for all that a transaction loads; past it comes
#: `MaxLoadedAccountsDataSizeExceeded`.
MAX_ACCOUNT_BYTES = 10 * MIB
MAX_LOADED_BYTES = 64 * MIB
#: What one transaction can put into a block: all that it loaded, the 20 MiB that Solana lets accounts grow in it, and
#: its own bytes, logs and calls.
MAX_TRANSACTION_BYTES = 88 * MIB
#: What one commit sends and what one load answers, about: the transaction that goes beyond it is the last of its batch.
#: Redis copies so much in some hundredths of a second.
COMMIT_BYTES = 16 * MIB
LOAD_BYTES = 16 * MIB
#: What a load answers for a single transaction; past it the transaction loads more than Solana lets it.
LONE_LOAD_BYTES = MAX_LOADED_BYTES + MIB
_ENTRY_OVERHEAD = 64
_IMAGE_OVERHEAD = 48


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """Bytes of a slot: `shared` by its transactions, `most` with a single large one on top of them."""

    shared: int = 24 * MIB
    most: int = 24 * MIB + MAX_TRANSACTION_BYTES


SLOT_LIMITS = SlotLimits()
#: What a block may hold uncompressed (format 2). Above what a slot may have; below what an object may have, also when
#: it does not compress at all.
MAX_BODY_BYTES = 120 * MIB


def entry_bytes(raw: int, value: int, detail: int, written: int) -> int:
    """What an outcome counts, by the lengths of its parts."""
    return _ENTRY_OVERHEAD + raw + value + detail + written


def image_bytes(stored: int) -> int:
    """What an account that was written counts, by the length of its image."""
    return _IMAGE_OVERHEAD + stored
