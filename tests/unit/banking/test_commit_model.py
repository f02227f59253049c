"""Any interleaving of commits against a model in plain Python: no lamport is lost, no signature applies twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import fakeredis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from banking.admin.genesis import create_ledger
from banking.blocks.store import BlockStore
from banking.errors import StaleEpoch
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.ledger.batch_record import ID_BYTES, join_batch
from banking.ledger.commit_request import CommitRequest
from banking.ledger.journal import read_journal
from banking.ledger.ledger import MAX_BLOCKHASH_AGE, Ledger
from banking.ledger.records import lamports_of
from banking.ledger.scan import scan_accounts
from banking.ledger.stored_account import shortened
from banking.ledger.versions import sequence
from recovery.archive import MemoryArchive
from recovery.identity import Identity
from tests.support.commit_model import BALANCES, KEYS, Model, Transfer, record

STAGES = 3

accounts = st.integers(min_value=0, max_value=len(KEYS) - 1)
indexes = st.integers(min_value=0, max_value=30)
batches = st.lists(indexes, min_size=1, max_size=6)
stages = st.integers(min_value=0, max_value=STAGES - 1)


@dataclass
class View:
    """What a stage has read, and means to commit."""

    transfers: list[Transfer]
    entries: list[CommitRequest]
    versions: dict[bytes, bytes]
    batch: bytes = b""


class CommitMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.client: Any = fakeredis.FakeRedis(version=(6, 2))
        genesis = {key: record(lamports) for key, lamports in zip(KEYS, BALANCES, strict=False)}
        self.supply = sum(BALANCES)
        self.ledgers = [Ledger(self.client, "model") for _ in range(STAGES)]
        create_ledger(self.ledgers[0], BlockStore(MemoryArchive(), "model", Identity.generate()), genesis)
        self.model = Model({key: genesis.get(key, b"") for key in KEYS})
        self.model.versions = dict.fromkeys(genesis, 1)
        self.newest = self.ledgers[0].state().blockhash
        self.model.blockhashes[self.newest] = 1
        self.transfers: list[Transfer] = []
        self.views: dict[int, View] = {}
        self.batches: list[tuple[bytes, list[Transfer]]] = []

    def teardown(self) -> None:
        self.client.close()

    def chosen(self, batch: list[int]) -> list[Transfer]:
        if not self.transfers:
            return []
        return list(dict.fromkeys(self.transfers[index % len(self.transfers)] for index in batch))

    @property
    def current(self) -> Ledger:
        """A view that is never stale."""
        return Ledger(self.client, "model")

    # ---- what clients and workers do

    @initialize(pairs=st.lists(st.tuples(accounts, accounts), min_size=4, max_size=10))
    def sign_some(self, pairs: list[tuple[int, int]]) -> None:
        for payer, payee in pairs:
            self.transfers.append(Transfer(len(self.transfers), payer, payee, 1000, self.newest))

    @rule(
        payer=accounts,
        payee=accounts,
        lamports=st.one_of(st.integers(0, 30_000), st.integers(2**61, 2**62)),
    )
    def sign(self, payer: int, payee: int, lamports: int) -> None:
        self.transfers.append(Transfer(len(self.transfers), payer, payee, lamports, self.newest))

    @rule(index=indexes)
    def sign_the_same_message_again(self, index: int) -> None:
        for transfer in self.chosen([index]):
            twin = Transfer(
                transfer.number, transfer.source, transfer.target, transfer.lamports, transfer.blockhash, twin=1
            )
            if twin not in self.transfers:
                self.transfers.append(twin)

    @rule(batch=batches, together=st.booleans())
    def accept(self, batch: list[int], together: bool) -> None:
        chosen, intake = self.chosen(batch), Intake(self.current)
        if chosen:
            if together:
                hashes, raws = [t.message_hash for t in chosen], [t.raw for t in chosen]
                id = intake.accept_record(len(chosen), join_batch(KEYS, {chosen[0].blockhash}, hashes, raws)).batch
                if id:
                    self.batches.append((id, chosen))
            else:
                intake.accept([(t.signature, t.raw) for t in chosen])
            for transfer in chosen:
                if not self.model.settled(transfer.signature):
                    self.model.take(transfer.signature)

    @rule(batch=batches, again=st.booleans())
    def park_or_examine(self, batch: list[int], again: bool) -> None:
        pairs = [(t.signature, t.raw) for t in self.chosen(batch)]
        if not pairs:
            return
        if again:
            found = Intake(self.current).examine(pairs)
            assert [count is None for count in found] == [self.model.settled(name) for name, _ in pairs]
        else:
            Intake(self.current).park(pairs, 1.0)
        for name, _ in pairs:
            if not self.model.settled(name):
                self.model.take(name)

    @rule(index=indexes, change=st.sampled_from([1, -1]))
    def begin_or_end_attempt(self, index: int, change: int) -> None:
        for transfer in self.chosen([index]):
            intake = Intake(self.current)
            if change == 1:
                assert (intake.begin_attempt(transfer.signature) is None) == (
                    transfer.signature not in self.model.intake
                )
            else:
                intake.end_attempt(transfer.signature)

    @rule(index=indexes)
    def bury(self, index: int) -> None:
        for transfer in self.chosen([index]):
            done = TransactionDeadLetters(self.current).add(
                transfer.signature, transfer.raw, "given up", 3, transfer.message_hash
            )
            assert done != self.model.settled(transfer.signature)
            if done:
                self.model.take(transfer.signature)
                self.model.dead.add(transfer.signature)
            self.model.intake.discard(transfer.signature)

    @rule(queue_empty=st.booleans())
    def sweep(self, queue_empty: bool) -> None:
        Intake(self.current).sweep(grace=-1.0, queue_empty=queue_empty, limit=3)

    @rule(which=indexes)
    def take_a_batch_apart(self, which: int) -> None:
        for id, transfers in self.batches[which % len(self.batches) :][:1] if self.batches else []:
            found = {raw for _, raw in Intake(self.current).take_apart(id)}
            assert found <= {t.raw for t in transfers if t.signature in self.model.intake}

    @rule(stage=stages, batch=batches)
    def load_and_execute(self, stage: int, batch: list[int]) -> None:
        """A stage reads and executes; its commit comes whenever it comes."""
        self._load_and_execute(stage, self.chosen(batch))

    @rule(stage=stages, which=indexes)
    def load_and_execute_a_batch(self, stage: int, which: int) -> None:
        if self.batches:
            id, transfers = self.batches[which % len(self.batches)]
            self._load_and_execute(stage, transfers, id)

    def _load_and_execute(self, stage: int, chosen: list[Transfer], batch: bytes = b"") -> None:
        if not chosen:
            return
        blockhashes = list(dict.fromkeys(t.blockhash for t in chosen))
        try:
            loaded = self.ledgers[stage].load([t.signature for t in chosen], blockhashes, KEYS, {})
        except StaleEpoch:
            return
        assert loaded.resolved == [self.model.settled(t.signature) for t in chosen]
        assert loaded.recent == {blockhash: self.model.recent(blockhash) for blockhash in blockhashes}
        recent = {blockhash for blockhash, valid in loaded.recent.items() if valid}
        # Those with an end are executed, too: a stage may have read before they had it.
        entries = [t.entry(loaded.records, recent) for t in chosen]
        self.views[stage] = View(chosen, entries, loaded.versions, batch)

    @rule(which=indexes, reply_lost=st.booleans(), enqueued_at=st.sampled_from([0, 1, 2**52]))
    def commit(self, which: int, reply_lost: bool, enqueued_at: int) -> None:
        """With its reply lost, the very same commit comes again."""
        if not self.views:
            return
        stage = sorted(self.views)[which % len(self.views)]
        view, ledger = self.views[stage], self.ledgers[stage]
        if ledger.epoch != self.current.epoch:
            with pytest.raises(StaleEpoch):
                ledger.commit(view.entries, view.versions, enqueued_at, batch=view.batch)
            del self.views[stage]
            return
        read = {key: view.versions[key] for entry in view.entries for key in entry.reads}
        gone = view.batch and not self.client.hexists(ledger.keys.batches, view.batch)
        # Of a batch that is not in intake any more nothing is known: each is to be asked for by itself.
        expected = "C" * len(view.entries) if gone else self.model.commit(view.entries, read)
        assert ledger.commit(view.entries, view.versions, enqueued_at, batch=view.batch).codes == expected
        if not reply_lost:
            del self.views[stage]

    @rule(stage=stages, batch=batches)
    def process_at_once(self, stage: int, batch: list[int]) -> None:
        """The usual case: nobody comes between reading and committing."""
        self.load_and_execute(stage, batch)
        self.commit(sorted(self.views).index(stage) if stage in self.views else 0, False, 1)

    @rule(slots=st.sampled_from([1, 70, MAX_BLOCKHASH_AGE + 1]))
    def time_passes(self, slots: int) -> None:
        self.model.slot += slots
        self.newest = hashlib.sha256(self.newest).digest()
        self.model.blockhashes[self.newest] = self.model.slot
        keys = self.current.epoch_keys
        self.client.hset(keys.state, mapping={"slot": self.model.slot, "blockhash": self.newest})
        self.client.hset(keys.blockhashes, self.newest, self.model.slot)

    @rule()
    def restore(self) -> None:
        """The same state under a new epoch: whoever knows only the old one is fenced."""
        ledger = self.current
        old, new = ledger.epoch_keys, ledger.keys.epoch(ledger.epoch + 1)
        for before, after in zip(old.all(), new.all(), strict=True):
            if self.client.exists(before):
                self.client.rename(before, after)
        # What only claimed its message is not in the archive.
        for message, signature in self.client.hgetall(new.messages).items():
            if not self.client.hexists(new.status, signature):
                self.client.hdel(new.messages, message)
        self.client.hset(ledger.keys.meta, "epoch", ledger.epoch + 1)

    # ---- what must hold after each step

    @invariant()
    def ledger_is_as_in_the_model(self) -> None:
        ledger, model = self.current, self.model
        state, scanned = ledger.state(), list(scan_accounts(ledger))
        records = {key: record for key, _, record in scanned}
        assert sum(map(lamports_of, records.values())) + state.burned == self.supply
        assert records == {key: value for key, value in model.records.items() if value}
        assert (state.seq, state.slot, state.burned) == (model.seq, model.slot, model.burned)
        assert (state.processed, state.failed, state.accepted) == (model.ok, model.failed, model.accepted)
        assert {key: sequence(version) for key, version, _ in scanned} == model.versions
        plain = {key for key, record in records.items() if len(shortened(record)) < len(record)}
        assert set(self.client.hkeys(ledger.epoch_keys.versions)) == records.keys() - plain
        self._check_places(ledger)
        self._check_journal(ledger)

    def _check_places(self, ledger: Ledger) -> None:
        """Each transaction is in one place only, and only what waits is spoken for."""
        keys, model = ledger.keys, self.model
        assert set(self.client.hkeys(keys.intake)) == model.intake
        assert set(self.client.hkeys(keys.dead)) == model.dead
        assert set(self.client.hkeys(ledger.epoch_keys.status)) == set(model.applied)
        assert not model.dead & set(model.applied)
        assert model.accepted == len(model.applied) + len(model.dead) + len(model.intake)
        spoken_for = {*self.client.zrange(keys.queued, 0, -1), *self.client.zrange(keys.parked, 0, -1)}
        held = self.client.hgetall(keys.intake)
        members = {signature for signature, batch in held.items() if len(batch) == ID_BYTES}
        assert {held[signature] for signature in members} <= spoken_for
        assert {name for name in spoken_for if len(name) > ID_BYTES} == model.intake - members
        stored = self.client.hkeys(keys.batches)
        assert {name for name in spoken_for if len(name) == ID_BYTES} == {
            name for name in stored if len(name) == ID_BYTES
        }
        assert {held[signature] for signature in members} <= set(stored)
        assert set(self.client.hkeys(keys.attempts)) <= model.intake | set(stored)

    def _check_journal(self, ledger: Ledger) -> None:
        entries = list(read_journal(ledger))
        assert [entry.signature for entry in entries] == self.model.applied
        assert [entry.seq for entry in entries] == list(range(2, self.model.seq + 1))


CommitMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestCommitModel = CommitMachine.TestCase
