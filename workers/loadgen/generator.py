"""The load generator: funded accounts, signed transfers among them, and every outcome counted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from solders.keypair import Keypair

from banking.intake.intake import MAX_AT_ONCE
from banking.ledger.ledger import Ledger
from config.errors import TrunklineError
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.retry.policy import RetryPolicy
from tasks.receipts import Receipt, Verdict
from tasks.submission import Submitter
from workers.loadgen.report import LoadReport
from workers.loadgen.signing import Signers, TransferPlan
from workers.loadgen.tracking import OutcomeTracker
from workers.loadgen.transfers import MAX_TRANSFERS, fan_out

#: Lamports for one account beyond what its share of the transfers will cost.
_RESERVE = 10**9
_FEE = 5000
#: Unresolved transactions at which submission waits: they must be executed before their blockhash expires.
_MAX_OUTSTANDING = 20_000
#: Below this many transfers signing processes would take longer to start than to sign.
_WORTH_PROCESSES = 2_000
#: Seconds between two looks at the outcomes, and that a blockhash is used.
_POLL_SECONDS = 0.05
_BLOCKHASH_SECONDS = 2.0
#: Seconds without any outcome until the load gives up.
_PATIENCE = 60.0

#: A Redis that restarts in the middle of it is part of what load is for: about half a minute of patience.
_RECONNECT = RetryPolicy(max_attempts=25, initial_delay=0.1, max_delay=2.0, deadline=30.0)


Tick = Callable[[LoadReport], None]


class FundingFailed(TrunklineError):
    """The accounts of the load could not be given lamports."""


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """`count` transfers among `accounts` accounts, at most `rate` a second (None: as fast as intake takes them)."""

    count: int
    accounts: int
    rate: float | None = None

    @property
    def chunk(self) -> int:
        """Transfers in one submission: a quarter of a second's worth, within what intake takes at once."""
        return MAX_AT_ONCE if self.rate is None else max(1, min(MAX_AT_ONCE, int(self.rate / 4)))

    @property
    def funds(self) -> int:
        """Lamports for each account: what its transfers cost on average, with much to spare for chance."""
        return _RESERVE + 4 * (self.count // self.accounts + 1) * (_FEE + self.count)


class LoadGenerator:
    """Runs one order against a ledger."""

    def __init__(
        self,
        ledger: Ledger,
        submitter: Submitter,
        faucet: Keypair,
        order: LoadOrder,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._ledger = ledger
        self._submitter = submitter
        self._faucet = faucet
        self._order = order
        self._tick: Tick = _unwatched
        self._clock = clock
        self._tracker = OutcomeTracker(ledger, clock=clock)
        self._blockhash = b""
        self._blockhash_at = float("-inf")
        self._polled_at = float("-inf")
        self.report = LoadReport(order.count)

    def fund(self) -> list[Keypair]:
        """New accounts with enough lamports, by real transfers. Raises FundingFailed."""
        keypairs = [Keypair() for _ in range(self._order.accounts)]
        targets = [keypair.pubkey() for keypair in keypairs]
        transactions = [
            fan_out(self._faucet, targets[first : first + MAX_TRANSFERS], self._order.funds, self._recent())
            for first in range(0, len(targets), MAX_TRANSFERS)
        ]
        for receipt in self._submitter.submit(transactions, wait="processed"):
            if receipt.outcome is None or not receipt.outcome.ok:
                raise FundingFailed(f"The faucet could not fund the accounts: {_why(receipt)}.")
        return keypairs

    def run(self, keypairs: Sequence[Keypair], tick: Tick | None = None) -> LoadReport:
        """Submit the order's transfers and wait for every outcome; `missing` is what got none for a minute.

        `tick` is called several times a second with the report so far.
        """
        order, report = self._order, self.report
        self._tick = tick or _unwatched
        plan = TransferPlan(keypairs, secrets.randbits(32))
        cores = os.cpu_count() or 1
        with Signers(plan, max(1, cores // 2) if order.count >= _WORTH_PROCESSES else 0) as signers:
            begun = self._clock.monotonic()
            for number, chunk in enumerate(signers.stream(order.count, order.chunk, self._recent)):
                # Signing processes take a moment to start; it belongs neither to the rate nor to the result.
                begun = begun if number else self._clock.monotonic()
                self._pace(begun)
                self._submit(chunk)
                self._look(begun)
                self._hold_back(begun, _MAX_OUTSTANDING)
        self._hold_back(begun, 0)
        report.missing = self._tracker.outstanding
        self._tick(report)
        return report

    def _submit(self, chunk: Sequence[bytes]) -> None:
        first = self.report.submitted
        # A chunk that was cut off is sent whole again: what was taken in is recognised as a duplicate.
        receipts = _RECONNECT.call(self._submitter.submit, chunk)
        self.report.submitted += len(chunk)
        for number, receipt in enumerate(receipts, start=first):
            if receipt.verdict is Verdict.REJECTED or receipt.signature is None:
                self.report.rejected += 1
                self.report.count_reason(receipt.reason)
            else:
                self.report.accepted += 1
                self._tracker.add(receipt.signature, number)

    def _pace(self, begun: float) -> None:
        if self._order.rate is None:
            return
        due = begun + self.report.submitted / self._order.rate
        while (early := due - self._clock.monotonic()) > 0:
            self._look(begun)
            self._clock.sleep(min(early, _POLL_SECONDS))

    def _hold_back(self, begun: float, most: int) -> None:
        """Wait until at most `most` transactions are unresolved, or nothing has moved for too long."""
        while self._tracker.outstanding > most and self._tracker.stalled < _PATIENCE:
            self._clock.sleep(_POLL_SECONDS)
            self._look(begun)

    def _look(self, begun: float) -> None:
        now = self._clock.monotonic()
        if now - self._polled_at < _POLL_SECONDS:
            return
        self._polled_at = now
        report = self.report
        for resolved in _RECONNECT.call(self._tracker.poll):
            report.latencies.append(resolved.seconds)
            if resolved.refusal is not None:
                report.failed += 1
                report.count_reason(resolved.refusal)
            elif resolved.outcome is None:
                report.dead += 1
            elif resolved.outcome.err is None:
                report.processed += 1
            else:
                report.failed += 1
                report.count_reason(resolved.outcome.err)
            report.seconds = now - begun
        self._tick(report)

    def _recent(self) -> bytes:
        """A recent blockhash, looked up often enough that nothing signed with it expires."""
        now = self._clock.monotonic()
        if now - self._blockhash_at >= _BLOCKHASH_SECONDS:
            self._blockhash = _RECONNECT.call(self._ledger.state).blockhash
            self._blockhash_at = now
        return self._blockhash


def _unwatched(_report: LoadReport) -> None:
    return


def _why(receipt: Receipt) -> str:
    if receipt.outcome is not None:
        return str(receipt.outcome.err)
    return receipt.reason or "no outcome within a minute; do workers consume?"
