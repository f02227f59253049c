"""Is what Redis holds the ledger that the archive knows? Asked at boot, after reconnects, and when in doubt (D8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from banking.blocks.block import BlockHeader, most_body_bytes
from banking.blocks.store import BlockStore
from banking.errors import LedgerMissing, LedgerRestoring, OutdatedLayout
from banking.ledger.ledger import Ledger, State
from recovery.archive import NotFound


class ConsistencyState(StrEnum):
    """What a comparison of Redis and archive came to."""

    HEALTHY = "healthy"
    #: Neither Redis nor archive has such a ledger.
    UNKNOWN = "unknown"
    #: The archive has it, Redis does not (or a restore was begun and not finished).
    LOST = "lost"
    #: Redis was rolled back: the archive is ahead of it.
    BEHIND = "behind"
    #: Redis holds another history than the archive.
    DIVERGED = "diverged"
    #: Redis holds it as an older version of Trunkline laid it out.
    OUTDATED = "outdated"
    #: The closed slot has more bytes than a block may hold: its transactions must run again, in several slots.
    UNSEALABLE = "unsealable"
    #: The archive lacks what Redis counts as final: it must not overwrite a ledger that knows more.
    ARCHIVE_BEHIND = "archive behind"


@dataclass(frozen=True, slots=True)
class ConsistencyReport:
    """The condition, and why, in words for the log."""

    state: ConsistencyState
    detail: str
    #: The epoch that was looked at: a number, "none" or "restoring".
    epoch: str = ""

    @property
    def needs_restore(self) -> bool:
        return self.state in _TO_RESTORE


_TO_RESTORE = frozenset(
    {
        ConsistencyState.LOST,
        ConsistencyState.BEHIND,
        ConsistencyState.DIVERGED,
        ConsistencyState.OUTDATED,
        ConsistencyState.UNSEALABLE,
    }
)


def compare(ledger: Ledger, blocks: BlockStore) -> ConsistencyReport:
    """Compare the two; cheap when all is well: one round trip, one block header, two look-ups.

    Raises LedgerUnavailable, ArchiveReadError, BadBlock (the block the ledger builds on is damaged).
    """
    try:
        while True:
            state = ledger.state()
            report = _compare_heads(state, blocks)
            if report.state is ConsistencyState.HEALTHY or _same(state, ledger.state()):
                return report
            # A sealer was at work between the look at Redis and the one at the archive: look again.
    except OutdatedLayout as error:
        return ConsistencyReport(ConsistencyState.OUTDATED, str(error), error.epoch)
    except LedgerRestoring:
        return ConsistencyReport(ConsistencyState.LOST, "a restore was begun and not finished", "restoring")
    except LedgerMissing:
        newest = blocks.newest()
        if newest is None:
            return ConsistencyReport(ConsistencyState.UNKNOWN, "neither Redis nor the archive has this ledger", "none")
        return ConsistencyReport(
            ConsistencyState.LOST, f"Redis has no such ledger, the archive has it up to slot {newest}", "none"
        )


def is_unsealable(state: State) -> bool:
    """Whether a closed slot waits that no block can hold."""
    return state.closing and state.closing_bytes > most_body_bytes()


def _same(one: State, other: State) -> bool:
    """Whether nothing was sealed between the two."""
    return (one.epoch, one.finalized, one.closing) == (other.epoch, other.finalized, other.closing)


def _compare_heads(state: State, blocks: BlockStore) -> ConsistencyReport:
    epoch = str(state.epoch)
    try:
        header = blocks.header(state.finalized)
    except NotFound:
        newest = blocks.newest()
        return ConsistencyReport(
            ConsistencyState.ARCHIVE_BEHIND,
            f"Redis is final up to slot {state.finalized}, the archive ends at {newest}; put the right archive back",
            epoch,
        )
    if header.ledger_id != state.ledger_id or header.hash() != state.blockhash:
        return ConsistencyReport(
            ConsistencyState.DIVERGED, f"the archive has another block in slot {state.finalized}", epoch
        )
    behind = ConsistencyReport(
        ConsistencyState.BEHIND, f"Redis knows slot {state.finalized}, the archive goes on behind it", epoch
    )
    if blocks.exists(state.finalized + 2):
        return behind
    if blocks.exists(state.finalized + 1) and not _is_closing(state, blocks.header(state.finalized + 1)):
        return behind
    if is_unsealable(state):
        slot, has = state.finalized + 1, f"{state.closing_bytes} bytes, a block holds {most_body_bytes()}"
        return ConsistencyReport(ConsistencyState.UNSEALABLE, f"closed slot {slot} has {has}", epoch)
    return ConsistencyReport(
        ConsistencyState.HEALTHY, f"epoch {state.epoch}, final up to slot {state.finalized}", epoch
    )


def _is_closing(state: State, header: BlockHeader) -> bool:
    """Whether this block is the one that Redis waits for: a seal was cut off before Redis heard; the next ends it.

    After a roll-back by one block a sealer may have closed the slot anew: then it is another one.
    """
    ours = (state.epoch, state.blockhash, state.closing_time_ms, state.closing_seq)
    return state.closing and ours == (header.epoch, header.parent, header.time_ms, header.last_seq)
