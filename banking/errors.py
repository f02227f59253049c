"""What can go wrong around the ledger."""

from __future__ import annotations

from banking.intake.reasons import Reason
from config.errors import TrunklineError
from recovery.errors import TransientError


class LedgerMissing(TrunklineError):
    """There is no such ledger in this Redis. Make one with `trunkline init`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no ledger named {name!r} in this Redis. Make one with `trunkline init`.")


class LedgerExists(TrunklineError):
    """A ledger of that name is there already."""


class LedgerUnavailable(TransientError):
    """The ledger's Redis did not answer, or refused the write whole."""


class StaleEpoch(TransientError):
    """The ledger was restored under a new epoch; what this process read before is void."""


class InvalidTransaction(TrunklineError):
    """The bytes are no acceptable transaction; `reason` is the short form for receipts, `code` that for programs."""

    def __init__(self, reason: str, code: Reason = Reason.MALFORMED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class BadBlock(TrunklineError):
    """A block is damaged, forged, missing or out of place; nothing behind it can be trusted."""


class Diverged(TransientError):
    """The archive holds another history than this Redis: the ledger must be restored from the archive."""


class JournalGap(Diverged):
    """The journal lacks entries that the ledger counted: Redis lost something; restore from the archive."""


class BlockTooLarge(Diverged):
    """A closed slot has more bytes than a block may hold; the ledger is restored, and its transactions run again.

    `bytes` is what its block's body would have.
    """

    def __init__(self, text: str, size: int) -> None:
        super().__init__(text)
        self.bytes = size


class LedgerRestoring(TransientError):
    """The ledger is being restored from its archive; it is served again in a moment."""


class OutdatedLayout(LedgerRestoring):
    """An older version of Trunkline wrote what Redis holds; it is not served until it was restored from the archive."""

    def __init__(self, name: str, layout: str, epoch: str) -> None:
        super().__init__(
            f"ledger {name!r} has the Redis layout {layout} of an older version; stop every process of that version, "
            "then start a worker: it restores the ledger from its archive in the layout of this one"
        )
        self.layout = layout
        self.epoch = epoch


class NewerLayout(TrunklineError):
    """A newer version of Trunkline wrote what Redis holds; this one must not touch it."""


class RestoreFailed(TransientError):
    """What was restored is not what it must be; it is not served."""


class RestoreInterrupted(TransientError):
    """The restore was cut off by what happened beside it; it starts over by itself."""


class LeaseLost(RestoreInterrupted):
    """Another process restores the ledger, or has done so."""


class ArchiveBehind(TransientError):
    """The archive lacks blocks that this ledger builds on; nothing is sealed onto a chain with a hole."""


class TransactionRefused(TrunklineError):
    """The ledger refused the transaction without a fee; the same bytes may be submitted again."""

    def __init__(self, err: str) -> None:
        super().__init__(f"refused without a fee: {err}")
        self.err = err


class VmPanic(TrunklineError):
    """The VM broke down over a transaction; it was made anew, and nothing was committed."""


class SlotFull(TransientError):
    """The open slot has no room for the transaction's bytes; the next one opens within a slot's time."""


class StillInConflict(TransientError):
    """Other transactions on the same accounts won every round; try again."""
