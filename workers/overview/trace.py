"""The whole way of one transaction: accepted, message, worker, processed, block, finalized. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import base58

from banking.blocks.store import BlockStore
from banking.errors import BadBlock
from banking.execution.places import kind_of
from banking.ledger.journal import JournalEntry, read_journal
from banking.ledger.ledger import Ledger
from banking.ledger.observing import Whereabouts, whereabouts
from banking.ledger.records import Outcome
from config.errors import TrunklineError
from recovery.archive import ArchiveError, NotFound
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.dead_letters import UnreadableLetterError, unpack_letter

#: Statuses leave Redis after some minutes; what is older is looked for in the archive, newest block first, this long.
SEARCH_SECONDS = 5.0
_SIGNATURE_BYTES = 64
_LOGS = 20


class NoSignature(TrunklineError):
    """The text is no signature."""


@dataclass(frozen=True, slots=True)
class Message:
    """The Celery task that brought a transaction to its outcome. Times are Unix seconds, None where not known."""

    task: str
    worker: str
    accepted: float | None
    received: float | None
    ended: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One station. `state` is "done", "now" (here it waits), "failed" or "unknown"; `at` is Unix seconds."""

    name: str
    state: str
    text: str
    at: float | None = None
    #: The Celery task that Flower has a page of.
    task: str = ""


@dataclass(slots=True)
class Trace:
    """What is known of `signature`. `verdict` says in a few words where it stands; `logs` are the program's."""

    signature: str
    verdict: str = "unknown"
    steps: list[Step] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)


FindMessage = Callable[[int, int], Message | None]


def parse_signature(text: str) -> bytes:
    """The 64 bytes of a signature in base58. Raises NoSignature."""
    try:
        raw = base58.b58decode(text.strip())
    except ValueError:
        raw = b""
    if len(raw) != _SIGNATURE_BYTES:
        raise NoSignature(f"{text.strip()[:100]!r} is no signature: those are 64 bytes in base58, 86 to 88 characters.")
    return bytes(raw)


class Tracer:
    """Traces transactions of one ledger. `open_blocks` reaches its archive, and may raise as `read_blocks` does."""

    def __init__(
        self,
        ledger: Ledger,
        open_blocks: Callable[[], BlockStore],
        *,
        find_message: FindMessage = lambda _slot, _seq: None,
        search: float = SEARCH_SECONDS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._ledger = ledger
        self._open_blocks = open_blocks
        self._find_message = find_message
        self._search = search
        self._clock = clock

    def trace(self, text: str) -> Trace:
        """The way of a transaction. Raises NoSignature, LedgerUnavailable, LedgerMissing, LedgerRestoring."""
        signature = parse_signature(text)
        trace = Trace(text.strip())
        found = whereabouts(self._ledger, signature)
        if found.outcome is not None:
            self._processed(trace, found.outcome, found.finalized)
        elif found.refusal is not None:
            trace.verdict = "refused without a fee"
            trace.steps = [
                Step("accepted", "done", "intake had it"),
                Step("processed", "failed", f"refused: {found.refusal}; it pays nothing and may be submitted again"),
            ]
        elif found.dead is not None:
            self._given_up(trace, found.dead)
        elif found.raw is not None or found.queued_at is not None or found.parked_until is not None:
            self._waits(trace, found)
        else:
            self._look_in_archive(trace, signature, found.finalized)
        return trace

    def _waits(self, trace: Trace, found: Whereabouts) -> None:
        trace.verdict = "waits"
        accepted = "intake holds it: it survives any worker and lost messages"
        trace.steps.append(Step("accepted", "done", accepted, found.queued_at))
        if found.parked_until is not None:
            left = max(0.0, found.parked_until - found.at)
            trace.steps.append(Step("message", "now", f"parked: it comes again in {left:.1f} s"))
        elif found.queued_at is not None:
            age = max(0.0, found.at - found.queued_at)
            trace.steps.append(Step("message", "now", f"waits for a worker, its newest message since {age:.1f} s"))
        if found.attempts:
            trace.steps.append(Step("worker", "failed", f"{found.attempts} runs ended with neither outcome nor error"))
        trace.steps.append(Step("processed", "unknown", "not yet"))

    def _given_up(self, trace: Trace, record: bytes) -> None:
        trace.verdict = "given up: a dead letter"
        try:
            letter = unpack_letter(record)
        except UnreadableLetterError as error:
            trace.steps = [Step("processed", "failed", str(error))]
            return
        told = (
            f"given up after {letter.attempts} attempts: {letter.reason}; `trunkline deadletter replay` runs it again"
        )
        trace.steps = [Step("accepted", "done", "intake had it"), Step("processed", "failed", told, letter.last_at)]

    def _processed(self, trace: Trace, outcome: Outcome, finalized: int) -> None:
        message = self._find_message(outcome.slot, outcome.seq)
        trace.logs = list(outcome.logs)[:_LOGS]
        self._add_message(trace, message)
        where = f"slot {outcome.slot}, number {outcome.seq} of the ledger, fee {outcome.fee} lamports"
        if outcome.err is None:
            trace.steps.append(Step("processed", "done", f"succeeded in {where}", message.ended if message else None))
        else:
            told = f"failed on chain ({kind_of(outcome.err)}) in {where}: {outcome.err}"
            trace.steps.append(Step("processed", "failed", told, message.ended if message else None))
        final = outcome.slot <= finalized
        trace.verdict = f"{'failed on chain' if outcome.err else 'succeeded'}, {'final' if final else 'not final yet'}"
        if final:
            self._add_block(trace, outcome.slot)
        else:
            trace.steps.append(
                Step("block", "now", f"slot {outcome.slot} is sealed next; the newest final is {finalized}")
            )

    def _add_message(self, trace: Trace, message: Message | None) -> None:
        trace.steps.append(Step("accepted", "done", "intake had it", message.accepted if message is not None else None))
        if message is None:
            told = "not known here: Flower knows the newest batches, and only while it runs"
            trace.steps += [Step("message", "unknown", told), Step("worker", "unknown", told)]
            return
        trace.steps.append(Step("message", "done", f"task {message.task}", message.received, message.task))
        trace.steps.append(Step("worker", "done", message.worker, message.ended))

    def _add_block(self, trace: Trace, slot: int) -> None:
        try:
            blocks = self._open_blocks()
            header = blocks.header(slot)
        except (NotFound, BadBlock, ArchiveError, TrunklineError) as error:
            trace.steps.append(Step("block", "unknown", f"the block of slot {slot} cannot be read here: {error}"))
            trace.steps.append(Step("finalized", "done", "the ledger says that its block is in the archive"))
            return
        told = f"{blocks.name(slot)}, hash {base58.b58encode(header.hash()).decode()}"
        trace.steps.append(Step("block", "done", told, header.time_ms / 1000))
        trace.steps.append(Step("finalized", "done", "its block is in the archive: it survives the loss of Redis"))

    def _look_in_archive(self, trace: Trace, signature: bytes, finalized: int) -> None:
        deadline = self._clock.monotonic() + self._search
        slot, told = finalized, ""
        try:
            blocks = self._open_blocks()
            while slot >= 0 and self._clock.monotonic() < deadline:
                entry = next((one for one in blocks.read(slot).entries if one.signature == signature), None)
                if entry is not None:
                    self._processed(trace, entry.outcome, finalized)
                    return
                slot -= 1
            told = f"the archive has it in no block from {slot + 1} to {finalized}"
        except NotFound:
            told = f"the archive has it in no block from {slot + 1} to {finalized}, and none older"
        except (BadBlock, ArchiveError, TrunklineError) as error:
            told = f"the archive cannot be read here: {error}"
        trace.verdict = "unknown"
        here = "Redis knows nothing of it: never accepted here, refused, or its status is older than 300 slots"
        trace.steps = [Step("accepted", "unknown", here), Step("block", "unknown", told)]


def batch_entries(
    ledger: Ledger, open_blocks: Callable[[], BlockStore], slot: int, first: int, last: int
) -> Sequence[JournalEntry]:
    """The outcomes of one place, from the journal, or from the archive once they have left it.

    Raises LedgerUnavailable, NotFound, BadBlock, ArchiveError, ConfigurationError.
    """
    found = []
    for entry in read_journal(ledger, slot=slot, after_seq=first - 1):
        if entry.seq > last:
            break
        found.append(entry)
    if found:
        return found
    return [entry for entry in open_blocks().read(slot).entries if first <= entry.seq <= last]
