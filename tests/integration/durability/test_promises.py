"""What a producer is told: levels of a receipt, and clear refusals instead of half promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from celery import Celery
from solders.keypair import Keypair

from banking.audit.audit import audit
from banking.errors import LedgerMissing
from banking.intake.reasons import Reason
from banking.ledger.ledger import Ledger
from banking.transaction import SignedTransaction
from config.settings import Settings
from recovery.clock import ManualClock
from recovery.connections import connect
from recovery.degradation import DegradationMode
from tasks.modes import open_modes
from tasks.receipts import Level, Verdict
from tasks.submission import SubmissionFailed, Submitter
from tests.support.durability.node import Node
from tests.support.durability.scenario import LEDGER
from tests.support.ledgers import SOL

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


@pytest.fixture
def settings(node: Node) -> Settings:
    return Settings.from_variables(redis_url=node.server.url, ledger=LEDGER, unsealed_limit=3)


@pytest.fixture
def broker() -> Iterator[Celery]:
    """Messages go nowhere: what is processed, the tests process themselves."""
    with Celery(broker="memory://", set_as_current=False) as app:
        yield app


@pytest.fixture
def submitter(node: Node, settings: Settings, broker: Celery) -> Submitter:
    return Submitter(Ledger(connect(node.server.url), LEDGER), broker, settings, clock=ManualClock())


def transfer(node: Node) -> SignedTransaction:
    return node.world.transfer(node.world.faucet, Keypair().pubkey(), SOL)


def test_levels_of_a_receipt(node: Node, submitter: Submitter) -> None:
    transaction = transfer(node)
    (receipt,) = submitter.submit([transaction.raw])
    assert (receipt.level, receipt.slot) == (Level.ACCEPTED, None)
    node.world.stage.process([transaction])
    (processed,) = submitter.wait_for([receipt], timeout=1)
    assert processed.level is Level.PROCESSED
    (waited,) = submitter.wait_for([receipt], timeout=1, level="finalized")
    assert waited.level is Level.PROCESSED
    node.world.seal()
    (final,) = submitter.wait_for([receipt], timeout=1, level="finalized")
    assert (final.level, final.slot) == (Level.FINALIZED, processed.slot)
    (again,) = submitter.submit([transaction.raw], wait="finalized")
    assert (again.verdict, again.level) == (Verdict.DUPLICATE, Level.FINALIZED)


def test_waiting_for_final_returns_when_the_block_is_sealed(node: Node, settings: Settings, broker: Celery) -> None:
    transaction = transfer(node)
    patient = Submitter(Ledger(connect(node.server.url), LEDGER), broker, settings)
    receipts = patient.submit([transaction.raw])

    def finish() -> None:
        node.world.stage.process([transaction])
        node.world.seal()

    timer = threading.Timer(0.3, finish)
    timer.start()
    (receipt,) = patient.wait_for(receipts, timeout=30, level="finalized")
    timer.join()
    assert receipt.level is Level.FINALIZED


def test_slot_of_a_lost_outcome_is_not_taken_for_final(node: Node, submitter: Submitter) -> None:
    """The restored ledger passes the slot in which the lost outcome was: that makes nothing final."""
    transaction = transfer(node)
    receipts = submitter.submit([transaction.raw])
    node.world.stage.process([transaction])
    node.empty()
    assert node.run("ensure") == 0
    for _ in range(3):
        node.run("seal")
    (lost,) = submitter.wait_for(receipts, timeout=1, level="finalized")
    assert lost.level is Level.ACCEPTED
    (again,) = submitter.submit([transaction.raw])
    assert again.verdict is Verdict.ACCEPTED


def test_intake_refuses_what_the_archive_cannot_keep_up_with(node: Node, submitter: Submitter) -> None:
    node.pay(4)
    (refused,) = submitter.submit([transfer(node).raw])
    assert refused.verdict is Verdict.REJECTED
    assert refused.code is Reason.ARCHIVE_BEHIND
    assert refused.level is None
    node.world.seal()
    assert submitter.submit([transfer(node).raw])[0].accepted


def test_degraded_intake_refuses_with_the_reason(node: Node, settings: Settings, submitter: Submitter) -> None:
    modes = open_modes(settings)
    modes.set_component_mode("intake", DegradationMode.READ_ONLY, reason="for the test")
    (refused,) = submitter.submit([transfer(node).raw])
    assert refused.verdict is Verdict.REJECTED
    assert refused.code is Reason.DEGRADED
    assert "intake is READ_ONLY" in refused.reason
    assert node.world.ledger.client.hlen(node.world.ledger.keys.intake) == 0


def test_a_refusal_is_told_and_the_same_bytes_land_later(node: Node, submitter: Submitter) -> None:
    poor = Keypair()
    transaction = node.world.transfer(poor, Keypair().pubkey(), 10**9)
    receipts = submitter.submit([transaction.raw])
    node.world.stage.process([transaction])
    (refused,) = submitter.wait_for(receipts, timeout=30, level="finalized")
    assert (refused.refused, refused.code, refused.reason) == (True, Reason.REFUSED, '"AccountNotFound"')
    assert (refused.outcome, refused.level) == (None, None)
    node.world.stage.process([node.world.transfer(node.world.faucet, poor.pubkey(), 10**10)])
    receipts = submitter.submit([transaction.raw])
    assert receipts[0].accepted
    node.world.stage.process([transaction])
    (landed,) = submitter.wait_for(receipts, timeout=30)
    assert (landed.level, landed.refused) == (Level.PROCESSED, False)
    # What a restore takes back from Redis counts nothing that was only told.
    node.world.seal()
    node.empty()
    assert node.run("ensure") == 0
    assert audit(Ledger(node.world.ledger.client, LEDGER), node.world.blocks).ok


def test_submit_waits_for_a_restore_and_then_is_taken(node: Node, settings: Settings, broker: Celery) -> None:
    patient = Submitter(Ledger(connect(node.server.url), LEDGER), broker, settings)
    assert patient.submit([transfer(node).raw])[0].accepted
    node.empty()
    restorer = node.stop_at("ensure", "restore.loaded")
    timer = threading.Timer(0.3, node.resume, [restorer])
    timer.start()
    (receipt,) = patient.submit([node.finals[0].raw])
    timer.join()
    assert receipt.verdict is Verdict.DUPLICATE
    assert node.run("ensure") == 0


def test_submit_gives_up_on_a_restore_that_does_not_end(node: Node, submitter: Submitter) -> None:
    transactions = [transfer(node) for _ in range(2)]
    assert submitter.submit([transactions[0].raw])[0].accepted
    node.empty()
    with pytest.raises(SubmissionFailed, match="has lost the ledger"):
        submitter.submit([transactions[1].raw])
    node.stop_at("ensure", "restore.loaded")
    with pytest.raises(SubmissionFailed, match="being restored"):
        submitter.submit([transactions[1].raw])
    assert not node.world.ledger.client.exists(node.world.ledger.keys.intake)


def test_a_ledger_that_never_was_is_said_at_once(node: Node, settings: Settings, broker: Celery) -> None:
    stranger = Submitter(Ledger(connect(node.server.url), "stranger"), broker, settings)
    with pytest.raises(LedgerMissing):
        stranger.submit([transfer(node).raw])
