"""The checkpoints' part in an audit: are they good, do they belong to the chain, do they hold what the blocks say?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from banking.blocks.store import BlockStore
from banking.errors import BadBlock
from banking.ledger.records import lamports_of
from banking.restore.checkpointing import COMPONENT, checkpoint_store
from banking.restore.replay import Replay
from banking.restore.snapshot import ACCOUNTS, STATUSES, account_rows, status_rows
from recovery.archive import NotFound
from recovery.checkpoints import Manifest
from recovery.checkpoints.components import ComponentLayer

Complain = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a replay begins: behind `slot` (-1: with the genesis), whose block has `block_hash`."""

    slot: int
    block_hash: bytes | None


class CheckpointAudit:
    """Looks at the checkpoints of one archive; `complain(invariant, text)` hears what is wrong."""

    def __init__(self, blocks: BlockStore, complain: Complain) -> None:
        self._blocks = blocks
        self._store = checkpoint_store(blocks)
        self._complain = complain
        self.good = self._good_ones()

    def start(self, replay: Replay) -> Start:
        """Where to begin: the genesis, or the oldest good checkpoint if blocks below it were dropped.

        In the second case `replay` is filled from it.
        """
        if self._blocks.exists(0) or not self.good:
            return Start(-1, None)
        oldest = self.good[0]
        self._fill(replay, oldest)
        return Start(int(oldest.facts["slot"]), bytes.fromhex(str(oldest.facts["block_hash"])))

    def compare(self, replay: Replay, slot: int) -> None:
        """Compare the newest good checkpoint with the replay, when that has come to its slot."""
        if not self.good or int(self.good[-1].facts["slot"]) != slot:
            return
        manifest = self.good[-1]
        if self._accounts(manifest) != replay.accounts:
            self._complain("I5", f"checkpoint {manifest.id} holds other accounts than the blocks up to slot {slot}")

    def _good_ones(self) -> Sequence[Manifest]:
        """Checkpoints that verify and belong to the chain, oldest first."""
        found = []
        for checkpoint_id in self._store.ids():
            report = self._store.verify(checkpoint_id)
            if report.manifest is None or not report.ok:
                self._complain("I7", f"checkpoint {checkpoint_id} fails verification, set it aside: {report.explain()}")
            elif self._belongs(report.manifest):
                found.append(report.manifest)
        return found

    def _belongs(self, manifest: Manifest) -> bool:
        facts = manifest.facts
        slot = int(facts["slot"])
        try:
            header = self._blocks.header(slot)
        except (NotFound, BadBlock) as error:
            self._complain("I7", f"checkpoint {manifest.id} stands on slot {slot}, whose block is no good: {error}")
            return False
        if header.hash().hex() != facts["block_hash"] or header.last_seq != facts["seq"]:
            self._complain("I7", f"checkpoint {manifest.id} belongs to another chain: slot {slot} has another block")
            return False
        return True

    def _layers(self, manifest: Manifest) -> Sequence[ComponentLayer]:
        return [ComponentLayer(layer, COMPONENT) for layer in self._store.layers(manifest.id)]

    def _accounts(self, manifest: Manifest) -> dict[bytes, tuple[int, bytes]]:
        found: dict[bytes, tuple[int, bytes]] = {}
        for layer in self._layers(manifest):
            for batch in layer.read(ACCOUNTS):
                found.update((key, (version, record)) for key, version, record in account_rows(batch))
        return {key: pair for key, pair in found.items() if pair[1]}

    def _fill(self, replay: Replay, manifest: Manifest) -> None:
        facts = manifest.facts
        replay.accounts = self._accounts(manifest)
        replay.lamports = sum(lamports_of(record) for _, record in replay.accounts.values())
        replay.supply, replay.burned = int(facts["supply"]), int(facts["burned"])
        replay.processed, replay.failed = int(facts["processed"]), int(facts["failed"])
        replay.seq = int(facts["seq"])
        for layer in self._layers(manifest):
            for batch in layer.read(STATUSES):
                replay.signatures.update(signature for signature, _, message in status_rows(batch) if message)
        if replay.lamports != replay.supply - replay.burned:
            self._complain("I1", f"checkpoint {manifest.id} holds {replay.lamports} lamports")
