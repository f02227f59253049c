"""What the oracle has to say."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Divergences kept; one fault can show in every later transaction.
MOST_KEPT = 100
_MOST_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Divergence:
    """One difference: `field` of the transaction `signature`, entry `seq` of `slot`.

    `expected` is what the oracle got, `found` what the archive says. `signature` is "" for what belongs to a
    whole slot.
    """

    slot: int
    seq: int
    signature: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        who = f"seq {self.seq} {self.signature}" if self.signature else "(end of slot)"
        return f"slot {self.slot} {who}: {self.field}: expected {_short(self.expected)}, found {_short(self.found)}"


@dataclass(slots=True)
class Report:
    """What was compared, and every difference (the first 100; `count` counts all).

    `slots` and `transactions` count what was executed, `accounts` the account states compared. At the end there were
    `held` accounts with `lamports`; `state` is the SHA-256 (hex) over them, equal wherever the same ledger is.
    """

    first_slot: int = 0
    last_slot: int = 0
    slots: int = 0
    transactions: int = 0
    refusals: int = 0
    accounts: int = 0
    count: int = 0
    held: int = 0
    lamports: int = 0
    state: str = ""
    divergences: list[Divergence] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the oracle agrees with the archive in everything."""
        return self.count == 0

    def lines(self) -> list[str]:
        """The report for people, a line for each divergence and one for all."""
        lines = [str(divergence) for divergence in self.divergences]
        if self.count > len(lines):
            lines.append(f"... and {self.count - len(lines):,} more")
        verdict = "The archive agrees with the oracle" if self.ok else "The archive does NOT agree with the oracle"
        return [
            *lines,
            f"{verdict}: slots {self.first_slot:,} to {self.last_slot:,}, {self.transactions:,} transactions executed, "
            f"{self.accounts:,} account states compared, {self.count:,} divergences.",
            f"State: {self.held:,} accounts, {self.lamports:,} lamports, SHA-256 {self.state}",
        ]

    def add(self, divergence: Divergence) -> None:
        """Note a difference."""
        self.count += 1
        if len(self.divergences) < MOST_KEPT:
            self.divergences.append(divergence)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"
