"""Random histories of work, crashes, losses and restores, against a pure model: the invariants hold at every end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import fakeredis
from fakeredis.commands_mixins import server_mixin
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from solders.pubkey import Pubkey

from banking.audit.audit import audit
from banking.blocks.sealer import Sealer
from banking.errors import Diverged, LedgerMissing, LedgerRestoring, StaleEpoch
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.intake.intake import Acceptance, Intake
from banking.restore import restoring
from banking.restore.consistency import ConsistencyState
from banking.restore.ledger_recovery import LedgerRecovery
from banking.transaction import SignedTransaction, verify
from recovery import crash_points
from tests.support.ledgers import GENESIS_LAMPORTS, SOL, World, new_world, transfer_transaction

FEE = 5_000
#: How far back, in steps, Redis may fall.
COPIES = 5
PEOPLE = [Pubkey(bytes([number]) * 32) for number in range(1, 5)]
RESTORE_POINTS = [*restoring.CRASH_POINTS, "restore.accepted-again"]
_executor = SvmExecutor()


class Cut(BaseException):
    """The process died here."""


@contextmanager
def cut_at(point: str | None) -> Iterator[list[str]]:
    """Die at the first passing of `point`; what is handed out holds it afterwards, if it was passed at all."""
    died: list[str] = []

    def reach(name: str) -> None:
        if name == point:
            died.append(name)
            raise Cut

    real = crash_points.reach
    vars(crash_points)["reach"] = reach
    try:
        yield died
    except Cut:
        pass
    finally:
        vars(crash_points)["reach"] = real


@dataclass(frozen=True)
class Transfer:
    transaction: SignedTransaction
    target: Pubkey
    lamports: int


@dataclass
class Known:
    """What Redis holds, as the model sees it: names are signatures, `applied` is in order."""

    applied: list[bytes] = field(default_factory=list)
    intake: set[bytes] = field(default_factory=set)
    #: How many of `applied` the closed slot ends with.
    closing: int | None = None
    #: Processed in an epoch that was replaced, and not taken up again yet.
    left: set[bytes] = field(default_factory=set)


class Ticking(ModuleType):
    """Stands in for the `time` that the fake server reads: a second later at each look, so that no two seals meet."""

    def __init__(self) -> None:
        super().__init__("time")
        self.now = 1_700_000_000.0

    def time(self) -> float:
        self.now += 1.0
        return self.now

    def time_ns(self) -> int:
        return int(self.time() * 1e9)


class DurableHistories(RuleBasedStateMachine):
    """`final` is the archive's content: it only grows. What Redis knows comes, goes and goes back."""

    @initialize()
    def begin(self) -> None:
        self.real_time = vars(server_mixin)["time"]
        vars(server_mixin)["time"] = Ticking()
        self.client = fakeredis.FakeRedis(version=(6, 2))
        self.world: World = new_world(self.client, programs=False)
        self.world.stage = BankingStage(self.world.ledger, _executor)
        self.ledger_recovery = LedgerRecovery(self.world.ledger, self.world.blocks)
        self.transfers: dict[bytes, Transfer] = {}
        self.final: list[bytes] = []
        self.known = Known()
        #: Copies of the data file, the newest last.
        self.copies: list[tuple[dict[bytes, Any], Known]] = []
        self.blockhash = self.world.blockhash()

    # ---- work

    @rule(person=st.sampled_from(PEOPLE), thousands=st.integers(0, 1000))
    def submit(self, person: Pubkey, thousands: int) -> None:
        # The number makes each one different, whatever hypothesis draws.
        amount = SOL + 1000 * thousands + len(self.transfers)
        transaction = verify(bytes(transfer_transaction(self.world.faucet, person, amount, self.blockhash)))
        self.transfers[transaction.signature] = Transfer(transaction, person, amount)
        self._accept(transaction.signature, Acceptance.ACCEPTED)

    @precondition(lambda self: self.transfers)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        """A client that is not sure."""
        name = data.draw(st.sampled_from(list(self.transfers)))
        expected = Acceptance.ACCEPTED
        if name in self.known.applied:
            expected = Acceptance.DUPLICATE_RESOLVED
        elif name in self.known.intake:
            expected = Acceptance.DUPLICATE_PENDING
        self._accept(name, expected)

    def _accept(self, name: bytes, expected: Acceptance) -> None:
        transaction = self.transfers[name].transaction
        try:
            (answer,) = Intake(self.world.ledger).accept([(name, transaction.raw)]).answers
        except (LedgerMissing, LedgerRestoring, StaleEpoch):
            return
        assert answer is expected
        if answer is Acceptance.ACCEPTED:
            self.known.intake.add(name)

    @precondition(lambda self: self.known.intake)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        some = data.draw(
            st.lists(
                st.sampled_from([name for name in self.transfers if name in self.known.intake]),
                min_size=1,
                max_size=3,
                unique=True,
            )
        )
        self._commit(some)

    @rule(person=st.sampled_from(PEOPLE), count=st.integers(1, 3))
    def pay(self, person: Pubkey, count: int) -> None:
        """All at once, because most histories should have something to lose."""
        before = set(self.known.intake)
        for _ in range(count):
            self.submit(person, 0)
        fresh = [name for name in self.transfers if name in self.known.intake - before]
        if fresh:
            self._commit(fresh)

    def _commit(self, some: list[bytes]) -> None:
        self._copy_the_file()
        try:
            self.world.stage.process([self.transfers[name].transaction for name in some])
        except (LedgerMissing, LedgerRestoring, StaleEpoch):
            return
        self.known.applied += some
        self.known.intake -= set(some)

    @rule(point=st.sampled_from([None, None, "seal.closed", "seal.archived"]))
    def seal(self, point: str | None) -> None:
        self._copy_the_file()
        before = set(self.world.blocks.slots())
        known = self.known
        try:
            with cut_at(point):
                Sealer(self.world.ledger, self.world.blocks).seal()
        except (Diverged, LedgerMissing, LedgerRestoring, StaleEpoch):
            assert set(self.world.blocks.slots()) == before
            return
        if known.closing is None:
            known.closing = len(known.applied)
        if point != "seal.closed":
            sealed = known.applied[: known.closing]
            # A rolled back Redis may wait for a block that is there: it hears of it, and the archive stays as it is.
            common = min(len(sealed), len(self.final))
            assert sealed[:common] == self.final[:common]
            self.final = max(self.final, sealed, key=len)
        if point is None:
            known.closing = None

    @rule(full=st.booleans())
    def checkpoint(self, full: bool) -> None:
        self.ledger_recovery.create_checkpoint(full=full)

    # ---- losses

    @rule()
    def wipe(self) -> None:
        self.client.flushall()
        self.known = Known()

    @rule(back=st.integers(1, COPIES))
    def restart_from_an_old_file(self, back: int) -> None:
        if len(self.copies) < back:
            return
        dump, known = self.copies[-back]
        self.client.flushall()
        for key, value in dump.items():
            self.client.restore(key, 0, value)
        self.known = deepcopy(known)
        self._end_lease()

    def _copy_the_file(self) -> None:
        found: Any = self.client.keys("*")
        self.copies.append(({key: self.client.dump(key) for key in found}, deepcopy(self.known)))
        del self.copies[:-COPIES]

    # ---- restoring

    @rule(point=st.sampled_from([None, None, *RESTORE_POINTS]))
    def restore(self, point: str | None) -> None:
        self._copy_the_file()
        condition = self.ledger_recovery.check().state
        was = self.world.ledger.client.hget(self.world.ledger.keys.meta, "epoch")
        with cut_at(point) as died:
            report = self.ledger_recovery.ensure_consistent(keep_waiting=lambda _: False)
            assert report.state is ConsistencyState.HEALTHY
        now = self.world.ledger.client.hget(self.world.ledger.keys.meta, "epoch")
        self._end_lease()
        self.world.ledger.forget_epoch()
        known = self.known
        if condition is not ConsistencyState.HEALTHY and now not in {was, b"restoring"}:
            tail = set(known.applied) - set(self.final)
            known.left |= tail
            known.applied, known.closing = list(self.final), None
            known.intake -= set(self.final)
        # A healthy ledger passes none of the points of a restore: it is tidied up whatever was to be cut.
        if not died or died == ["restore.accepted-again"]:
            known.intake |= known.left - set(known.applied)
        if not died:
            known.left = set()

    def _end_lease(self) -> None:
        """A dead restorer's lease runs out."""
        self.client.delete(self.world.ledger.keys.restorer)

    # ---- what must hold

    @invariant()
    def what_is_served_is_what_the_model_says(self) -> None:
        if not hasattr(self, "known"):
            return
        ledger = self.world.ledger
        try:
            state = ledger.state()
        except (LedgerMissing, LedgerRestoring):
            return
        assert state.processed == len(self.known.applied)
        names: Any = self.client.hkeys(ledger.keys.intake)
        assert set(names) == self.known.intake
        spent = sum(self.transfers[name].lamports + FEE for name in self.known.applied)
        assert self.world.balance(self.world.faucet.pubkey()) == GENESIS_LAMPORTS - spent
        for person in PEOPLE:
            got = sum(self.transfers[n].lamports for n in self.known.applied if self.transfers[n].target == person)
            assert self.world.balance(person) == got

    def teardown(self) -> None:
        if not hasattr(self, "known"):
            return
        self._end_lease()
        self.restore(None)
        assert self.known.applied[: len(self.final)] == self.final
        # It not only stands, it goes on.
        assert Sealer(self.world.ledger, self.world.blocks).seal() is not None
        assert self.world.blocks.newest() == self.world.ledger.state().finalized
        report = audit(self.world.ledger, self.world.blocks)
        assert [f"{check.id}: {check.detail}" for check in report.checks if not check.ok] == []
        self.client.close()
        vars(server_mixin)["time"] = self.real_time


TestDurableHistories = DurableHistories.TestCase
TestDurableHistories.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
