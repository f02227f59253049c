"""Whether Redis holds a ledger that this version may serve."""

from __future__ import annotations

from banking.errors import LedgerMissing, LedgerRestoring, NewerLayout, OutdatedLayout

#: What the epoch reads while a restore replaces it.
RESTORING = b"restoring"
#: How the keys of an epoch are laid out; `trunkline` of another layout neither reads nor writes them.
LAYOUT = 4


def served_epoch(name: str, epoch: bytes | None, layout: bytes | None) -> int:
    """The epoch that `meta` says is served.

    Raises LedgerMissing, LedgerRestoring, OutdatedLayout (a restore makes it ours), NewerLayout.
    """
    if epoch is None:
        raise LedgerMissing(name)
    if epoch == RESTORING:
        raise LedgerRestoring(f"ledger {name!r} is being restored from its archive")
    found = int(layout or 1)
    if found < LAYOUT:
        raise OutdatedLayout(name, str(found), epoch.decode())
    if found > LAYOUT:
        raise NewerLayout(f"ledger {name!r} has the Redis layout {found}, this version knows {LAYOUT}: update it")
    return int(epoch)
