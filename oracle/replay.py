"""Replaying an archive: what must have happened, beside what it says happened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from oracle.chain import Chain
from oracle.checkpoints import Checkpoint, checkpoint_slots, read_checkpoint
from oracle.comparing import beside, differences
from oracle.errors import BadArchive
from oracle.format import BadBlock, Block, Recorded, read_block
from oracle.machine import Happened, Machine
from oracle.nonces import nonce_account
from oracle.report import Divergence, Report
from oracle.source import Source, block_name, block_slots

#: Errors of transactions that were refused without being executed.
EXPIRED, REPEATED = '"BlockhashNotFound"', '"AlreadyProcessed"'

#: Slots that paid messages are remembered: longer than any blockhash is valid.
_PAID_SLOTS = 300


def replay(
    source: Source,
    trusted_keys: Collection[bytes],
    *,
    first: int = 0,
    last: int | None = None,
    execute: bool = True,
    progress: Callable[[int, int], None] = lambda _slot, _last: None,
) -> Report:
    """Compare the blocks of slots `first` to `last` (None: the newest) with what one VM gets from them.

    What lies before `first` is taken from the newest good checkpoint before it, or from the blocks, as it stands
    there. Where the first blocks are gone, the replay begins behind the oldest checkpoint. Without `execute` only the
    chain, the signatures and the totals are checked. Raises BadArchive.
    """
    slots = block_slots(source)
    if not slots:
        raise BadArchive("there is no block")
    end = slots[-1] if last is None else last
    one = _begin(source, trusted_keys, first, whole=slots[0] == 0)
    for slot in range(one.next_slot, end + 1):
        one.add(_read(source, slot, trusted_keys), execute=execute and slot >= first)
        progress(slot, end)
    return one.finish()


def _begin(source: Source, trusted_keys: Collection[bytes], first: int, *, whole: bool) -> Replay:
    """A replay that stands before `first`, or as near to it as the archive allows."""
    held = checkpoint_slots(source, trusted_keys) if first or not whole else {}
    for slot in [slot for slot in reversed(held) if slot < first] or ([] if whole else list(held)):
        try:
            return _taken_up(source, trusted_keys, slot, read_checkpoint(source, held[slot], trusted_keys))
        except BadArchive:
            # `archive verify` tells of it; here the next one will do.
            continue
    if not whole:
        raise BadArchive("the first blocks are gone, and there is no good checkpoint to begin with")
    return Replay()


def _taken_up(source: Source, trusted_keys: Collection[bytes], slot: int, checkpoint: Checkpoint) -> Replay:
    header = _read(source, slot, trusted_keys).header
    if header.hash != checkpoint.block_hash:
        raise BadArchive(f"the checkpoint of slot {slot} is not of this chain")
    return Replay(
        report=Report(first_slot=slot + 1, last_slot=slot),
        chain=Chain.begun(header, checkpoint.blockhashes),
        machine=Machine(checkpoint.accounts),
        burned=checkpoint.burned,
        processed=checkpoint.processed,
        failed=checkpoint.failed,
        paid=dict(sorted(checkpoint.paid.items(), key=lambda item: item[1])),
    )


def _read(source: Source, slot: int, trusted_keys: Collection[bytes]) -> Block:
    try:
        block = read_block(source.get(block_name(slot)), trusted_keys)
    except BadBlock as error:
        raise BadBlock(f"the block of slot {slot}: {error}") from error
    if block.header.slot != slot:
        raise BadBlock(f"the block of slot {slot} says that it is of slot {block.header.slot}")
    return block


@dataclass(slots=True)
class Replay:
    """A replay on its way, block by block."""

    report: Report = field(default_factory=Report)
    chain: Chain = field(default_factory=Chain)
    machine: Machine = field(default_factory=lambda: Machine({}))
    burned: int = 0
    processed: int = 0
    failed: int = 0
    #: What the accounts that this slot changed were before it, by our own execution.
    _before: dict[bytes, bytes] = field(default_factory=dict)
    #: Hashes of the messages that were paid for, to the slot in which that was.
    paid: dict[bytes, int] = field(default_factory=dict)

    @property
    def next_slot(self) -> int:
        """The slot that comes next."""
        return self.chain.head.slot + 1 if self.chain.head is not None else 0

    def add(self, block: Block, *, execute: bool = True) -> None:
        """Take the next block in. Raises BadArchive when it does not fit the chain."""
        slot = block.header.slot
        sysvars = self.chain.sysvars() if self.chain.head is not None and block.entries and execute else None
        self.chain.extend(block)
        if sysvars is not None:
            self.machine.begin(sysvars)
        genesis = self.processed + self.failed == 0
        if execute and not self.report.slots:
            self.report.first_slot = slot
        self.report.slots += execute
        images: dict[bytes, bytes] = {}
        for entry in block.entries:
            images.update(entry.images)
            self._add_one(entry, slot, execute=execute, genesis=genesis)
        if not execute:
            self.machine.put(images)
        else:
            self._settle(block, images)
        self._check_totals(block)
        self.report.last_slot = slot
        while self.paid and (oldest := next(iter(self.paid.items())))[1] < slot - _PAID_SLOTS:
            del self.paid[oldest[0]]

    def finish(self) -> Report:
        """The report, with the state at the end."""
        state = hashlib.sha256()
        for key, record in sorted(self.machine.accounts.items()):
            state.update(key + len(record).to_bytes(8, "big") + record)
        self.report.state = state.hexdigest()
        self.report.held = len(self.machine.accounts)
        self.report.lamports = self.machine.lamports
        return self.report

    def _add_one(self, entry: Recorded, slot: int, *, execute: bool, genesis: bool) -> None:
        if not entry.raw:
            if not genesis:
                self._differ(slot, entry, "kind", "a transaction", "accounts from nowhere")
            if execute:
                self.machine.put(entry.images)
            return
        self.burned += entry.burned
        if entry.err is None:
            self.processed += 1
        else:
            self.failed += 1
        transaction = VersionedTransaction.from_bytes(entry.raw)
        digest = bytes(transaction.message.hash())
        if execute:
            self._judge(entry, slot, transaction, digest)
        if entry.burned:
            self.paid[digest] = slot

    def _judge(self, entry: Recorded, slot: int, transaction: VersionedTransaction, digest: bytes) -> None:
        if not all(transaction.verify_with_results()):
            self._differ(slot, entry, "signatures", "valid ones", "a wrong one")
        blockhash = bytes(transaction.message.recent_blockhash)
        nonce = None
        if not (recent := self.chain.is_recent(blockhash, slot)):
            nonce = nonce_account(transaction, self.machine.accounts, self.machine.environment)
        if entry.detail is None and not entry.wrote:
            self.report.refusals += 1
            expected = REPEATED if digest in self.paid else None if recent or nonce else EXPIRED
            if expected != entry.err:
                self._differ(slot, entry, "refusal", str(expected), str(entry.err))
            return
        if not recent and nonce is None:
            self._differ(slot, entry, "blockhash", EXPIRED, str(entry.err))
        if digest in self.paid:
            self._differ(slot, entry, "message", REPEATED, f"executed again, first in slot {self.paid[digest]}")
        happened = self.machine.run(entry.raw, nonce)
        self.report.transactions += 1
        self.report.accounts += len(happened.records_after)
        for key in happened.changed:
            self._before.setdefault(key, happened.records_before[key])
        for name, expected, found in differences(entry, happened):
            self._differ(slot, entry, name, expected, found)
        self._follow(entry, happened)

    def _follow(self, entry: Recorded, happened: Happened) -> None:
        """Take the archive's word where the two disagree, so that one fault is told once."""
        theirs = {key: happened.records_before[key] for key in happened.changed if key not in entry.wrote}
        for key, record in entry.images.items():
            if self.machine.accounts.get(key, b"") != record:
                self._before.setdefault(key, self.machine.accounts.get(key, b""))
                theirs[key] = record
        if theirs and all(key in entry.images for key in entry.wrote):
            self.machine.put(theirs)

    def _settle(self, block: Block, images: dict[bytes, bytes]) -> None:
        """Compare every account that the slot changed; where the two differ, go on from what the archive says."""
        accounts = self.machine.accounts
        theirs = {**self._before, **images}
        wrong = {key: record for key, record in theirs.items() if accounts.get(key, b"") != record}
        for key, record in wrong.items():
            expected, found = beside(accounts.get(key, b""), record)
            self.report.add(Divergence(block.header.slot, 0, "", f"account {Pubkey(key)}", expected, found))
        self.report.accounts += len(theirs)
        self._before.clear()
        if wrong:
            self.machine.put(wrong)

    def _check_totals(self, block: Block) -> None:
        header = block.header
        pairs = (
            ("lamports", header.supply - self.burned, self.machine.lamports),
            ("burned", self.burned, header.burned),
            ("processed", self.processed, header.processed),
            ("failed", self.failed, header.failed),
        )
        for name, expected, found in pairs:
            if expected != found:
                self.report.add(Divergence(header.slot, 0, "", f"total {name}", str(expected), str(found)))

    def _differ(self, slot: int, entry: Recorded, name: str, expected: str, found: str) -> None:
        self.report.add(Divergence(slot, entry.seq, entry.signature, name, expected, found))
