"""What a transaction task's state says in Celery, and so in Flower, of a message that did not go well."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from banking.transaction import SignedTransaction
from recovery.errors import Refused
from tasks import base
from tasks.base import TransactionTask
from tasks.messages import BatchMessage
from tests.support.bench import Bench, forged
from tests.support.celery.harness import Harness, Ran

GARBAGE = "%%%"


class ClosedGate:
    def check(self, component: str, operation: str) -> None:
        raise Refused("closed", retry_after=1.0)


GATED = {"gate": ClosedGate()}


class Bed:
    """The task in a worker without processes, on a ledger of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = Bench()
        self.harness = Harness()
        here = SimpleNamespace(
            ledger=self.bench.world.ledger,
            processor=self.bench.processor,
            dead_letters=self.bench.dead_letters,
            recorder=None,
            settings=SimpleNamespace(intake=SimpleNamespace(longest_countdown=5.0)),
        )
        monkeypatch.setattr(base, "runtime", lambda: here)

    def run(self, payload: list[Any], **options: Any) -> Ran:
        """The first run of a message with `payload`. There must not be a second one."""

        free = {"gate": None, "breaker": None, "budget": None}

        @self.harness.app.task(name="batch", base=TransactionTask, bind=True, shared=False, **(free | options))
        def batch(task: TransactionTask, items: list[Any]) -> str:
            return task.process_batch(BatchMessage.parse(items))

        batch.apply_async((payload,))
        ran = self.harness.step()
        assert ran is not None
        assert self.harness.step() is None
        return ran

    def letters(self) -> int:
        return len(self.bench.dead_letters.letters.list())


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    return Bed(monkeypatch)


def texts(transactions: list[SignedTransaction]) -> list[Any]:
    return [base64.b64encode(transaction.raw).decode() for transaction in transactions]


def test_all_is_well(bed: Bed) -> None:
    ran = bed.run(texts(bed.bench.accepted(2)))
    assert (ran.state, ran.result) == ("SUCCESS", "2 committed; in slot 1: 2-3")


def test_a_malformed_message_has_failed_for_good(bed: Bed) -> None:
    ran = bed.run([GARBAGE])
    assert ran.state == "FAILURE"
    assert str(ran.result).startswith("1 malformed: not base64")
    assert "trunkline deadletter" in str(ran.result)
    assert bed.letters() == 1


def test_a_forged_one_among_good_ones_fails_the_task_and_not_its_neighbours(bed: Bed) -> None:
    transactions = bed.bench.accepted(2)
    ran = bed.run([*texts(transactions), *texts([forged(bed.bench)])])
    assert ran.state == "FAILURE"
    assert str(ran.result).startswith("2 committed, 1 malformed: SignatureFailure")
    assert all(bed.bench.world.ledger.outcomes([transaction.signature for transaction in transactions]))


def test_a_transaction_that_cannot_be_run_fails_the_task(bed: Bed) -> None:
    transactions = bed.bench.accepted(3)

    def act(batch: list[SignedTransaction]) -> None:
        if transactions[1].signature in {transaction.signature for transaction in batch}:
            raise ValueError("a bug")

    bed.bench.disturb(act)
    ran = bed.run(texts(transactions))
    assert ran.state == "FAILURE"
    assert str(ran.result).startswith("2 committed, 1 dead: ValueError: a bug")


def test_parked_work_waits(bed: Bed) -> None:
    ran = bed.run(texts(bed.bench.accepted(2)), **GATED)
    assert ran.state == "RETRY"
    assert bed.letters() == 0


def test_what_is_malformed_fails_although_its_neighbours_are_parked(bed: Bed) -> None:
    transactions = bed.bench.accepted(2)
    ran = bed.run([*texts(transactions), GARBAGE], **GATED)
    assert ran.state == "FAILURE"
    assert str(ran.result).startswith("2 parked, 1 malformed: not base64")
    parked = bed.bench.client.zrange(bed.bench.keys.parked, 0, -1)
    assert set(parked) == {transaction.signature for transaction in transactions}
