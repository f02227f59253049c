"""Time travel: a later slot, now. Every slot on the way is closed and has its block, so nothing else has to know."""

from __future__ import annotations

import time
from dataclasses import dataclass

from banking.blocks.sealer import Sealer
from banking.ledger.ledger import Ledger
from config.errors import TrunklineError

#: A slot on the way costs a block in the archive.
MAX_WARP_SLOTS = 100_000
#: Slots between two looks at old outcomes in Redis.
_PRUNE_EVERY = 100


class WarpRefused(TrunklineError):
    """The slot lies behind, or too far ahead."""


@dataclass(frozen=True, slots=True)
class Warped:
    """The slot that was open before, the one that is now, and the seconds it took."""

    before: int
    slot: int
    seconds: float


def warp(ledger: Ledger, sealer: Sealer, slot: int, *, most: int = MAX_WARP_SLOTS) -> Warped:
    """Seal slots until `slot` is the open one; those on the way are empty, but the first. May run beside beat.

    Blockhashes expire and sysvars follow as always. Raises WarpRefused before anything is done when `slot` is not
    ahead, or by more than `most`, and what `Sealer.seal` raises: then the ledger has come part of the way.
    """
    began, before = time.monotonic(), ledger.state().slot
    if slot <= before:
        raise WarpRefused(f"Slot {before} is open already; time travels forwards only, to a later slot than that.")
    if slot - before > most:
        raise WarpRefused(f"{slot - before:,} slots from slot {before} are too many at once; the most is {most:,}.")
    now = before
    while now < slot:
        sealed = sealer.seal()
        # None: another sealer was faster.
        now = ledger.state().slot if sealed is None else sealed.slot + 1
        if now % _PRUNE_EVERY == 0:
            sealer.prune()
    return Warped(before, ledger.state().slot, time.monotonic() - began)
