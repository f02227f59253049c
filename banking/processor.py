"""From the payload of a message to outcomes: what a worker does with a batch, knowing nothing of Celery."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from banking.burial import Burial
from banking.errors import InvalidTransaction
from banking.intake import Intake
from banking.stage import BankingStage
from banking.wire import PACKET_BYTES, WireTransaction, decode, verify
from recovery import crash_points

logger = logging.getLogger(__name__)

#: Seconds until transactions that lost every round of a conflict come again.
CONFLICT_DELAY = 0.25


@dataclass(slots=True)
class Processed:
    """What a message came to, in numbers of transactions."""

    committed: int = 0
    duplicates: int = 0
    parked: int = 0
    buried: int = 0
    malformed: int = 0
    unresolved: list[WireTransaction] = field(default_factory=list)


class Processor:
    """Runs messages: a batch whole, a redelivered one transaction by transaction."""

    def __init__(self, stage: BankingStage, intake: Intake, burial: Burial, *, max_attempts: int = 3) -> None:
        self.stage = stage
        self.intake = intake
        self._burial = burial
        self._max_attempts = max_attempts

    def decode(self, payload: Sequence[object], done: Processed) -> list[WireTransaction]:
        """The well-formed transactions of a message. The others are buried: nobody is left to be told."""
        wires = []
        for item in payload:
            try:
                if not isinstance(item, str):
                    raise InvalidTransaction(f"expected a base64 string, got {type(item).__name__}")
                wires.append(verify(_raw(item)))
            except InvalidTransaction as error:
                self._bury_malformed(item, error.reason)
                done.malformed += 1
        return wires

    def run(self, wires: Sequence[WireTransaction], *, enqueued_at: int, isolate: bool) -> Processed:
        """Bring `wires` to their outcomes or back into intake.

        `enqueued_at` is Redis time in milliseconds (0 = unknown). With `isolate` each runs alone and is counted
        before it does, so that one which kills its worker is found. Raises what `BankingStage.process` raises.
        """
        done = Processed()
        if isolate:
            self._run_one_by_one(wires, done, enqueued_at)
        else:
            self._run_batch(wires, done, enqueued_at)
        return done

    def park(self, wires: Sequence[WireTransaction], delay: float) -> int:
        """Put `wires` off for `delay` seconds."""
        return self.intake.park([(wire.signature, wire.raw) for wire in wires], delay)

    def _run_batch(self, wires: Sequence[WireTransaction], done: Processed, enqueued_at: int) -> None:
        if crash_points.armed():
            for wire in wires:
                crash_points.reach(f"execute.{wire.parsed.signatures[0]}")
        report = self.stage.process(wires, enqueued_at=enqueued_at)
        crash_points.reach("processor.committed")
        done.committed += len(report.committed)
        done.duplicates += len(report.duplicates)
        if report.conflicts:
            done.parked += self.park(report.conflicts, CONFLICT_DELAY)

    def _run_one_by_one(self, wires: Sequence[WireTransaction], done: Processed, enqueued_at: int) -> None:
        resolved = self.stage.ledger.outcomes([wire.signature for wire in wires])
        waiting = [wire for wire, outcome in zip(wires, resolved, strict=True) if outcome is None]
        done.duplicates += len(wires) - len(waiting)
        # A batch whose every outcome is known may still have left marks in intake.
        self.intake.forget([wire.signature for wire, outcome in zip(wires, resolved, strict=True) if outcome])
        if not waiting:
            return
        # Those that were never seen to die go first: a killer must not keep the others waiting.
        counts = self.intake.attempts([wire.signature for wire in waiting])
        for _, wire in sorted(zip(counts, waiting, strict=True), key=lambda pair: pair[0]):
            self._run_suspect(wire, done, enqueued_at)

    def _run_suspect(self, wire: WireTransaction, done: Processed, enqueued_at: int) -> None:
        attempt = self.intake.begin_attempt(wire.signature)
        if attempt > self._max_attempts:
            reason = f"ended its worker without a word {attempt - 1} times"
            done.buried += self._burial.bury(wire.signature, wire.raw, reason, attempt - 1)
            return
        try:
            self._run_batch([wire], done, enqueued_at)
        except Exception:
            # An error that can be told is no killing; only silent ends count.
            self.intake.end_attempt(wire.signature)
            raise

    def _bury_malformed(self, item: object, reason: str) -> None:
        payload = item.encode() if isinstance(item, str) else repr(item).encode()
        name = b"malformed-" + hashlib.sha256(payload).hexdigest()[:32].encode()
        logger.error("A message held no transaction (%s); kept as dead letter %s", reason, name.decode())
        # Keep a bounded piece: it is evidence, not work.
        self._burial.bury_foreign(name, payload[: 4 * PACKET_BYTES], reason)


def _raw(text: str) -> bytes:
    # The common case first: what submit() sends is base64.
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return decode(text)
