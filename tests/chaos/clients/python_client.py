"""Producers that use the Python API, and one that knows nothing but Celery."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

from celery import Celery
from solders.hash import Hash
from solders.keypair import Keypair

from banking.errors import LedgerMissing, LedgerRestoring, LedgerUnavailable
from tasks.receipts import Receipt
from tasks.submission import SubmissionFailed, Submitter, default_submitter
from tests.chaos.clients.base import Client, Surroundings, now
from tests.chaos.clients.wallets import pay, signature_of, signed

_AWAY = (LedgerUnavailable, LedgerRestoring, LedgerMissing)


def blockhash_of(submitter: Submitter) -> Hash:
    return Hash.from_bytes(submitter.ledger.state().blockhash)


class PythonClient(Client):
    """Submits batches, waits for what it chooses to wait for, and now and then submits an old batch again."""

    pause = 0.2

    def __init__(self, name: str, around: Surroundings) -> None:
        super().__init__(name, around)
        self.submitter = default_submitter()
        self._old: deque[list[tuple[str, bytes]]] = deque(maxlen=40)

    def step(self) -> None:
        if self.chance.random() < 0.05:
            self._fund_what_was_refused()
            return
        if self._old and self.chance.random() < 0.2:
            batch = self.chance.choice(self._old)
        else:
            blockhash = blockhash_of(self.submitter)
            batch = [self.wallets.some(blockhash) for _ in range(self.chance.randrange(1, 12))]
            self._old.append(batch)
        waits: list[Literal["processed", "finalized"] | None] = [None, "processed", "processed", "finalized"]
        self.submit(batch, self.chance.choice(waits))

    def _fund_what_was_refused(self) -> None:
        """A payer gets its money after its transaction was refused: that must not execute then."""
        payer, blockhash = Keypair.from_seed(self.chance.randbytes(32)), blockhash_of(self.submitter)
        late = signed([pay(payer.pubkey(), self.wallets.hot, 1_000_000)], [payer], blockhash)
        self.submit([("late", late)], "processed")
        funding = signed(
            [pay(self.wallets.wallets[0].pubkey(), payer.pubkey(), 10**9)], [self.wallets.wallets[0]], blockhash
        )
        self.submit([("funding", funding)], "processed")

    def submit(
        self, batch: Sequence[tuple[str, bytes]], wait: Literal["processed", "finalized"] | None, timeout: float = 10.0
    ) -> list[Receipt]:
        """One call, with its answers in the history."""
        began, error = now(), ""
        receipts: Sequence[Receipt] = []
        # Noted before, too: whoever is killed in the call may have sent it.
        self.note("trying", sigs=[signature_of(raw) for _, raw in batch])
        try:
            receipts = self.submitter.submit([raw for _, raw in batch], wait=wait, timeout=timeout)
        except SubmissionFailed as failure:
            receipts, error = failure.receipts, f"SubmissionFailed: {failure}"[:200]
        except _AWAY as failure:
            error = f"{type(failure).__name__}: {failure}"[:200]
        answered = [self._answer(what, raw, receipt) for (what, raw), receipt in zip(batch, receipts, strict=False)]
        unknown = [{"sig": signature_of(raw), "what": what} for what, raw in batch[len(answered) :]]
        self.note("submit", t0=began, t1=now(), wait=wait, txs=answered, unanswered=unknown, error=error)
        return list(receipts)

    def _answer(self, what: str, raw: bytes, receipt: Receipt) -> dict[str, Any]:
        outcome = receipt.outcome
        return {
            "sig": signature_of(raw),
            "what": what,
            "verdict": receipt.verdict.value,
            "level": receipt.level.value if receipt.level else None,
            "slot": receipt.slot,
            "err": outcome.err if outcome else None,
            "code": receipt.code.value if receipt.code else None,
            "refused": receipt.refused,
            "archived": self.around.archived(receipt.slot) if receipt.finalized else None,
        }


class CeleryClient(Client):
    """Sends `transactions.process` by its name, one transaction a message; nothing is promised to it."""

    pause = 0.5

    def __init__(self, name: str, around: Surroundings, broker: str) -> None:
        super().__init__(name, around)
        self._app = Celery(broker=broker, set_as_current=False)
        self._app.conf.broker_connection_retry = False
        self._app.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
        self._app.conf.task_publish_retry = False
        self._submitter = default_submitter()

    def step(self) -> None:
        blockhash = blockhash_of(self._submitter)
        for what, raw in [self.wallets.some(blockhash) for _ in range(self.chance.randrange(1, 4))]:
            self.note("trying", sigs=[signature_of(raw)])
            began, error = now(), ""
            try:
                self._app.send_task("transactions.process", [base64.b64encode(raw).decode()], queue="transactions")
            except Exception as failure:  # noqa: BLE001 - kombu raises what its transport raises
                error = f"{type(failure).__name__}: {failure}"[:200]
            self.note("sent", t0=began, t1=now(), sig=signature_of(raw), what=what, error=error)
