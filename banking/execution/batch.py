"""A batch on its way: what is still pending, and what became of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from banking.errors import InvalidTransaction
from banking.execution.places import Place, kind_of
from banking.execution.solana_errors import ALREADY_PROCESSED, BLOCKHASH_NOT_FOUND
from banking.ledger.commit_request import CommitRequest
from banking.ledger.ledger import CommitResult
from banking.ledger.loaded_state import LoadedState
from banking.ledger.records import unpack_result
from banking.transaction import AcceptedTransaction, SignedTransaction, VerifiedTransaction, check_signatures

#: What the commit script says of those that did not lose their accounts: see `PendingBatch.settle`.
_SETTLED = "ARDBME"


@dataclass(slots=True)
class BatchReport:
    """What became of a batch.

    `committed` now; `refused` now, without a fee; `duplicates` had their end before; `full` found no room in the slot
    and must come again in the next; `conflicts` lost to others in every round and must come again, as must those whose
    nonce is good from the next slot on; `invalid` have a wrong signature and were never in intake; `broken` cannot be
    executed here, for the reason beside them.
    """

    committed: list[SignedTransaction] = field(default_factory=list)
    refused: list[SignedTransaction] = field(default_factory=list)
    duplicates: list[SignedTransaction] = field(default_factory=list)
    conflicts: list[SignedTransaction] = field(default_factory=list)
    full: list[SignedTransaction] = field(default_factory=list)
    invalid: list[SignedTransaction] = field(default_factory=list)
    broken: list[tuple[SignedTransaction, Exception]] = field(default_factory=list)
    #: Where the outcomes of `committed` stand, and how many of them are errors of each kind.
    places: list[Place] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    #: Executions that lost their accounts to others, round by round.
    conflicted: int = 0

    def locate(self, answer: CommitResult, entries: Sequence[CommitRequest]) -> None:
        """Note where a commit put its outcomes, and which of them are errors."""
        self.conflicted += len(answer.codes) - sum(map(answer.codes.count, _SETTLED))
        count = answer.codes.count("A")
        if not count:
            return
        self.places.append(Place(answer.slot, answer.first_seq, answer.first_seq + count - 1))
        for code, entry in zip(answer.codes, entries, strict=True):
            if not entry.ok and code == "A":
                kind = kind_of(unpack_result(entry.result).err or '"unknown"')
                self.kinds[kind] = self.kinds.get(kind, 0) + 1


@dataclass(slots=True)
class PendingBatch:
    """Transactions still without an outcome, and the refusals that the next round will record."""

    transactions: list[SignedTransaction]
    refused: dict[bytes, str] = field(default_factory=dict)
    #: Those of the last round that did not fit beside the others.
    put_off: list[SignedTransaction] = field(default_factory=list)
    #: Whether all that the round loaded is so little that none of its transactions can load too much.
    light: bool = False
    #: The turn that was not handed on, because there were conflicts (`banking.ledger.turns`).
    turn: bytes = b""

    def settle(self, transactions: Sequence[SignedTransaction], codes: str, report: BatchReport) -> None:
        """Sort `transactions` by what the commit script said of each."""
        self.transactions = []
        for transaction, code in zip(transactions, codes, strict=True):
            match code:
                case "A":
                    report.committed.append(transaction)
                case "R":
                    report.refused.append(transaction)
                case "D":
                    report.duplicates.append(transaction)
                case "B":
                    report.full.append(transaction)
                case "M":
                    self.refused[transaction.signature] = ALREADY_PROCESSED
                    self.transactions.append(transaction)
                case "E":
                    self.refused[transaction.signature] = BLOCKHASH_NOT_FOUND
                    self.transactions.append(transaction)
                case _:
                    self.transactions.append(transaction)
        if "B" in codes:
            # What built on those without room, or is as large and was put off, would find none either.
            report.full += [
                transaction
                for transaction in (*self.transactions, *self.put_off)
                if transaction.signature not in self.refused
            ]
            self.transactions = [
                transaction for transaction in self.transactions if transaction.signature in self.refused
            ]
            self.put_off = []
        self.transactions += self.put_off


def without_outcome(
    transactions: Sequence[SignedTransaction], loaded: LoadedState, report: BatchReport
) -> list[SignedTransaction]:
    """Those of `transactions` that are genuine and have no outcome yet; the others go into the report."""
    found = []
    for transaction, resolved, accepted in zip(transactions, loaded.resolved, loaded.accepted, strict=True):
        if resolved:
            report.duplicates.append(transaction)
        elif _is_genuine(transaction, accepted):
            found.append(transaction)
        else:
            report.invalid.append(transaction)
    return found


def _is_genuine(transaction: SignedTransaction, accepted: bytes) -> bool:
    """Whether the signatures are right: checked before, vouched for by intake, or checked now.

    What stands in intake was verified before it was written there (by `submit`, or before parking). The very same
    bytes need no second look: whoever could forge an intake record could write accounts as well.
    """
    if isinstance(transaction, VerifiedTransaction | AcceptedTransaction) or accepted == transaction.raw:
        return True
    try:
        check_signatures(transaction)
    except InvalidTransaction:
        return False
    return True


def distinct(transactions: Sequence[SignedTransaction]) -> list[SignedTransaction]:
    return list({transaction.signature: transaction for transaction in transactions}.values())
