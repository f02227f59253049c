"""A new ledger that begins with the state of another one at batch slot."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence

from banking.admin.genesis import genesis_block
from banking.blocks.block import GENESIS_PARENT
from banking.blocks.store import BlockStore
from banking.errors import BadBlock, LedgerExists
from banking.restore.checkpointing import COMPONENT, LedgerSnapshot, checkpoint_store
from banking.restore.snapshot import ACCOUNTS, account_rows
from recovery.archive import NotFound
from recovery.checkpoints import BadCheckpoint
from recovery.checkpoints.components import ComponentLayer
from recovery.clock import SYSTEM_CLOCK, Clock

logger = logging.getLogger(__name__)

#: Bytes of records in one block of a genesis; blocks are read whole.
_BLOCK_BYTES = 16 * 1024 * 1024
_BLOCK_ACCOUNTS = 100_000

Accounts = Iterable[tuple[bytes, bytes]]


def fork_ledger(source: BlockStore, target: BlockStore, *, at: int | None = None, clock: Clock = SYSTEM_CLOCK) -> str:
    """Archive the accounts of `source` as of the end of slot `at` (None: the newest) as the genesis of `target`.

    Balances, data and programs are the same; the id, slots, blockhashes, versions and statuses are new, so that no
    transaction of the one ledger can run in the other. Restoring `target` serves it. Returns its ledger id. Raises
    LedgerExists, BadBlock (the archive does not reach that slot, or is damaged), ArchiveUnavailable.
    """
    if target.newest() is not None:
        raise LedgerExists(f"The archive has a ledger named {target.ledger!r} already; choose another name.")
    slot = at if at is not None else source.newest()
    if slot is None:
        raise BadBlock("the archive holds no block of this ledger")
    try:
        head = source.header(slot)
    except NotFound:
        raise BadBlock(f"the archive has no block of slot {slot}") from None
    for chain in _chains(source, slot):
        try:
            return write_genesis(target, _accounts(source, slot, chain), head.supply - head.burned, clock=clock)
        except BadCheckpoint as error:
            logger.error("A checkpoint is damaged, trying an older one: %s", error)  # noqa: TRY400
    raise BadBlock(f"no good checkpoint at or below slot {slot}, and the blocks do not reach back to the genesis")


def write_genesis(blocks: BlockStore, accounts: Accounts, supply: int, *, clock: Clock = SYSTEM_CLOCK) -> str:
    """Archive a genesis of any size, in as many blocks as it takes; returns the ledger's id.

    `accounts` are (key, record) and hold `supply` lamports. What was written is removed when it cannot be finished.
    Raises ArchiveUnavailable, and what reading `accounts` raises.
    """
    ledger_id, parent, slot = secrets.token_hex(16), GENESIS_PARENT, 0
    try:
        for batch in _in_blocks(accounts):
            header, body = genesis_block(ledger_id, supply, batch, int(clock.time() * 1000), slot=slot, parent=parent)
            blocks.put(header, body)
            parent, slot = header.hash(), slot + 1
    except BaseException:
        for written in reversed(range(slot)):
            blocks.delete(written)
        raise
    return ledger_id


def _chains(source: BlockStore, slot: int) -> Iterator[Sequence[ComponentLayer]]:
    """Checkpoints at or below `slot` on the chain, the newest first; then none, if the blocks reach back."""
    store = checkpoint_store(source)
    for checkpoint_id in reversed(store.ids()):
        try:
            layers = [ComponentLayer(layer, COMPONENT) for layer in store.layers(checkpoint_id)]
            facts = layers[-1].manifest.facts
            if int(facts["slot"]) <= slot and source.header(int(facts["slot"])).hash().hex() == facts["block_hash"]:
                yield layers
        except (BadCheckpoint, NotFound) as error:
            logger.warning("Checkpoint %s cannot be forked from: %s", checkpoint_id, error)
    if source.exists(0):
        yield ()


def _accounts(source: BlockStore, slot: int, chain: Sequence[ComponentLayer]) -> Accounts:
    snapshot = LedgerSnapshot(source, checkpoint_store(source), slot=slot)
    part = next(part for part in snapshot.parts(None, chain) if part.name == ACCOUNTS)
    for batch in part.batches:
        for key, _, record in account_rows(batch):
            yield key, record


def _in_blocks(accounts: Accounts) -> Iterator[dict[bytes, bytes]]:
    batch: dict[bytes, bytes] = {}
    size = 0
    for key, record in accounts:
        if batch and (size + len(record) > _BLOCK_BYTES or len(batch) >= _BLOCK_ACCOUNTS):
            yield batch
            batch, size = {}, 0
        batch[key] = record
        size += len(record) + 64
    yield batch
