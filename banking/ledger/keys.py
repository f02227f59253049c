"""Every Redis key of a ledger. The braces make a ledger one hash slot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


def key_prefix(name: str) -> str:
    """What every Redis key of ledger `name` begins with, those of other packages included."""
    return f"tl:{{{name}}}"


@dataclass(frozen=True)
class LedgerKeys:
    """Names of the keys of ledger `name`. Those of `Epoch` belong to one incarnation of its state."""

    name: str

    @cached_property
    def prefix(self) -> str:
        return key_prefix(self.name)

    @cached_property
    def meta(self) -> str:
        """Hash: ledger_id, epoch, supply (lamports), version of the layout."""
        return f"{self.prefix}:meta"

    @cached_property
    def intake(self) -> str:
        """Hash: signature of all that is accepted and unresolved, to the id of its batch (16 bytes), or to the raw
        transaction where it is in none."""
        return f"{self.prefix}:intake"

    @cached_property
    def batches(self) -> str:
        """Hash: id to the record of a batch (`banking.ledger.batch_record`); id and "w" to `epoch:how many` as long as
        it is whole (`lua/accept.lua`), id and "o" to how many are in it at most when it is not."""
        return f"{self.prefix}:batches"

    @cached_property
    def queued(self) -> str:
        """Sorted set: batch, or signature of what is in none, by the time (ms) of its newest message."""
        return f"{self.prefix}:queued"

    @cached_property
    def parked(self) -> str:
        """Sorted set: signature by the time (ms) at which it may run again."""
        return f"{self.prefix}:parked"

    @cached_property
    def attempts(self) -> str:
        """Hash: signature to the number of runs during which its worker died."""
        return f"{self.prefix}:attempts"

    @cached_property
    def dead(self) -> str:
        """Hash: id to packed dead letter."""
        return f"{self.prefix}:dead"

    @cached_property
    def dead_bytes(self) -> str:
        """Number: bytes of all dead letters and their ids."""
        return f"{self.prefix}:dead-bytes"

    @cached_property
    def restorer(self) -> str:
        """String with an expiry: the lease of who restores the ledger."""
        return f"{self.prefix}:restorer"

    @cached_property
    def progress(self) -> str:
        """Hash with an expiry: how far the restore is."""
        return f"{self.prefix}:progress"

    @cached_property
    def archive_error(self) -> str:
        """String with an expiry: the archive refused a write a moment ago."""
        return f"{self.prefix}:archive_error"

    @cached_property
    def checkpointing(self) -> str:
        """String with an expiry: the lease of who writes a checkpoint."""
        return f"{self.prefix}:checkpointing"

    @cached_property
    def health(self) -> str:
        """Hash: what the evaluation of health remembers between two looks; see `lua/pulse.lua`."""
        return f"{self.prefix}:health"

    @cached_property
    def notes(self) -> str:
        """Hash: "checkpoint", "scrub", "restore" to a JSON object that says how the newest one went."""
        return f"{self.prefix}:notes"

    @cached_property
    def beat(self) -> str:
        """String with an expiry: the time (ms) at which Celery's beat looked last at what is due."""
        return f"{self.prefix}:beat"

    @cached_property
    def workers(self) -> str:
        """Hash: name of a worker to `time (ms):record` (JSON), its last heartbeat."""
        return f"{self.prefix}:workers"

    @cached_property
    def attested(self) -> str:
        """String: the signed attestation of a host that verified the ledger; see `banking.restore.attestation`."""
        return f"{self.prefix}:attested"

    @cached_property
    def epochs(self) -> str:
        """Counter: the highest epoch number ever used on this Redis."""
        return f"{self.prefix}:epochs"

    @cached_property
    def leftovers(self) -> str:
        """Set: what `epoch` and `staging` call epochs and loads that may be left over, for dropping them."""
        return f"{self.prefix}:leftovers"

    def staging(self, token: str) -> EpochKeys:
        """The keys into which the holder of restore lease `token` loads; nobody else ever writes there."""
        return EpochKeys(f"{self.prefix}:load-{token}")

    def epoch(self, number: int) -> EpochKeys:
        """The keys of one epoch."""
        return EpochKeys(f"{self.prefix}:e{number}")


@dataclass(frozen=True)
class EpochKeys:
    """Names of the keys that a restore replaces as a whole."""

    prefix: str

    @cached_property
    def state(self) -> str:
        """Hash: slot, slot_time (ms, that of the block before), slot_opened (ms), seq, blockhash, burned, processed,
        failed, refused, dropped (dead letters), accepted, watermark (ms), finalized, finalized_seq, bytes of the open
        slot, full (not empty: it is to close before its time; '2': it has its one large transaction), closing with
        its facts while a closed slot waits for its block, and of turns (`banking.ledger.turns`) their number, turn_at
        (ms, when the newest was given) and heat (for how many commits they are still asked for)."""
        return f"{self.prefix}:state"

    @cached_property
    def accounts(self) -> str:
        """Hash: public key to account record."""
        return f"{self.prefix}:accounts"

    @cached_property
    def versions(self) -> str:
        """Hash: public key to its version (`banking.ledger.versions`)."""
        return f"{self.prefix}:versions"

    @cached_property
    def status(self) -> str:
        """Hash: signature to outcome."""
        return f"{self.prefix}:status"

    @cached_property
    def messages(self) -> str:
        """Hash: message hash to the signature it was applied under."""
        return f"{self.prefix}:messages"

    @cached_property
    def refusals(self) -> str:
        """Hash: signature to `slot:` and the error of a transaction that was refused without a fee."""
        return f"{self.prefix}:refusals"

    @cached_property
    def refused(self) -> str:
        """Sorted set: signature of each refusal by its slot."""
        return f"{self.prefix}:refused"

    @cached_property
    def blockhashes(self) -> str:
        """Hash: blockhash to the slot at which it became recent."""
        return f"{self.prefix}:blockhashes"

    @cached_property
    def journal(self) -> str:
        """Stream: `slot-seq` to the transaction, its outcome and the keys of the accounts it wrote."""
        return f"{self.prefix}:journal"

    @cached_property
    def images_even(self) -> str:
        """Hash: public key to the newest record of each account written in the open slot or the one before it,
        whichever is even ("-": it is gone)."""
        return f"{self.prefix}:images0"

    @cached_property
    def images_odd(self) -> str:
        """The same of the odd one of the two slots."""
        return f"{self.prefix}:images1"

    @cached_property
    def turns(self) -> str:
        """List: the number of the turn that nobody has, one at most (`banking.ledger.turns`)."""
        return f"{self.prefix}:turns"

    def images(self, slot: int) -> str:
        """The images of `slot`, as long as it is the open one or the one before."""
        return self.images_odd if slot % 2 else self.images_even

    def all(self) -> list[str]:
        """Every key of the epoch, for dropping it."""
        return [
            self.state,
            self.accounts,
            self.versions,
            self.status,
            self.messages,
            self.refusals,
            self.refused,
            self.blockhashes,
            self.journal,
            self.images_even,
            self.images_odd,
            self.turns,
        ]
