"""Waiting for the outcomes of submitted transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, TypeVar

from solders.signature import Signature

from banking.intake.reasons import Reason
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from recovery.clock import Clock
from tasks.receipts import Receipt, Verdict
from tasks.restore_patience import RestorePatience

T = TypeVar("T")

Wait = Literal["processed", "finalized"]

_POLL_SECONDS = 0.05
#: Signatures that are looked up in one call.
_PAGE = 1000


class OutcomeWaiter:
    """Completes receipts by what the ledger knows of their transactions."""

    def __init__(self, ledger: Ledger, patience: RestorePatience, clock: Clock) -> None:
        self._ledger = ledger
        self._patience = patience
        self._clock = clock

    def wait_for(self, receipts: Sequence[Receipt], *, timeout: float, level: Wait) -> list[Receipt]:
        """The receipts with the outcomes that are known within `timeout` seconds, waiting for `level`."""
        deadline = self._clock.monotonic() + timeout
        seen: dict[str, tuple[Outcome, bool]] = {}
        refused: dict[str, str] = {}
        waiting = list(dict.fromkeys(r.signature for r in receipts if _has_outcome(r)))
        while waiting:
            found = self._settled([name for name in waiting if name])
            # What was seen and is no more (Redis was lost before its block was written) is waited for again.
            seen = {name: pair for name, pair in seen.items() if name not in waiting} | found
            waiting = [name for name in waiting if name not in found or (level == "finalized" and not found[name][1])]
            refused |= self._refused([name for name in waiting if name and name not in found])
            waiting = [name for name in waiting if name not in refused]
            if not waiting or self._clock.monotonic() >= deadline:
                break
            self._clock.sleep(_POLL_SECONDS)
        return [_with_outcome(receipt, seen.get(receipt.signature or ""), refused) for receipt in receipts]

    def _settled(self, names: Sequence[str]) -> dict[str, tuple[Outcome, bool]]:
        return self._look_up(names, self._ledger.settled)

    def _refused(self, names: Sequence[str]) -> dict[str, str]:
        return self._look_up(names, self._ledger.refusals)

    def _look_up(self, names: Sequence[str], read: Callable[[Sequence[bytes]], Sequence[T | None]]) -> dict[str, T]:
        """What `read` knows of each signature, without those of which it knows nothing."""
        found: dict[str, T] = {}
        for first in range(0, len(names), _PAGE):
            page = names[first : first + _PAGE]
            signatures = [bytes(Signature.from_string(name)) for name in page]
            answers = self._patience.call(partial(read, signatures))
            found |= {name: answer for name, answer in zip(page, answers, strict=True) if answer}
        return found


def _with_outcome(receipt: Receipt, found: tuple[Outcome, bool] | None, refused: dict[str, str]) -> Receipt:
    if receipt.verdict is Verdict.REJECTED:
        return receipt
    if found is None:
        err = refused.get(receipt.signature or "")
        return receipt if err is None else replace(receipt, code=Reason.REFUSED, reason=err)
    return replace(receipt, outcome=found[0], finalized=found[1])


def _has_outcome(receipt: Receipt) -> bool:
    return receipt.verdict is not Verdict.REJECTED and receipt.signature is not None
