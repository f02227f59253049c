"""What really happened: the archive, executed again by the oracle, with every state of every account on the way."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from oracle import BadArchive, Source
from oracle import records as account_records
from oracle.checkpoints import checkpoint_slots, read_checkpoint
from oracle.format import read_block
from oracle.machine import Happened, Machine
from oracle.replay import Replay
from oracle.source import block_name, block_slots
from tests.chaos.checker.violation import Violation

#: Slots after which a transaction that is sent again has a second, free outcome (`docs/durability.md`).
_FORGOTTEN_SLOTS = 300
_EXPIRED = "BlockhashNotFound"


@dataclass(frozen=True)
class Outcome:
    """One entry of the archive. `err` is Solana's JSON, None for success; `free`: it changed nothing at all."""

    slot: int
    seq: int
    err: Any
    free: bool


@dataclass(frozen=True)
class State:
    """An account from one moment on. `digest` is over owner and data, "" for an account that is not there."""

    slot: int
    lamports: int
    digest: str


class _WatchedMachine(Machine):
    """Tells of every account that changes."""

    def __init__(self) -> None:
        self.changes: list[Mapping[bytes, bytes]] = []
        super().__init__({})

    def run(self, raw: bytes, nonce: bytes | None = None) -> Happened:
        happened = super().run(raw, nonce)
        self.changes.append(happened.changed)
        return happened

    def put(self, changes: Mapping[bytes, bytes]) -> None:
        self.changes.append(changes)
        super().put(changes)


@dataclass
class World:
    """The archive's story. `accounts` is the state at its end, `head` its last block's header."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    states: dict[str, list[State]] = field(default_factory=lambda: defaultdict(list))
    accounts: dict[bytes, bytes] = field(default_factory=dict)
    head: Any = None
    transactions: int = 0
    checkpoints: int = 0
    violations: list[Violation] = field(default_factory=list)

    def final(self, signature: str) -> Outcome | None:
        """The outcome that counts: the first."""
        found = self.outcomes.get(signature)
        return found[0] if found else None

    def states_in(self, key: str, slot: int) -> list[State]:
        """The state of an account when `slot` began, and every state that it took within it."""
        states = self.states.get(key, [])
        first = bisect_left(states, slot, key=lambda state: state.slot)
        last = bisect_right(states, slot, key=lambda state: state.slot)
        before = states[first - 1] if first else State(-1, 0, "")
        return [before, *states[first:last]]


def read_world(source: Source, key_file: Path, damaged: Collection[str] = ()) -> World:
    """Execute the archive of one ledger. `damaged` checkpoints are the nemesis' doing, and what builds on them."""
    world = World()
    trusted = [bytes(Keypair.from_bytes(bytes(json.loads(key_file.read_text()))).pubkey())]
    machine = _WatchedMachine()
    replay = Replay(machine=machine)
    checkpoints = checkpoint_slots(source, trusted)
    slots = block_slots(source)
    for slot in range(slots[-1] + 1 if slots else 0):
        try:
            block = read_block(source.get(block_name(slot)), trusted)
            replay.add(block)
        except BadArchive as error:
            world.violations.append(Violation("I6 chain", f"slot {slot}: {error}"))
            return world
        if world.head is not None and block.header.time_ms < world.head.time_ms:
            world.violations.append(Violation("block times", f"the time of slot {slot} is before that of {slot - 1}"))
        world.head = block.header
        _note(world, machine, slot)
        for entry in block.entries:
            if entry.raw:
                err = json.loads(entry.err) if entry.err is not None else None
                world.outcomes[entry.signature].append(Outcome(slot, entry.seq, err, free=entry.burned == 0))
        if slot in checkpoints and checkpoints[slot] not in damaged:
            _compare(world, source, trusted, checkpoints[slot], machine.accounts, damaged)
    report = replay.finish()
    world.accounts, world.transactions = dict(machine.accounts), report.transactions
    world.violations += [Violation("I9 execution", str(one), one.signature) for one in report.divergences]
    world.violations += _repeated(world)
    return world


def _note(world: World, machine: _WatchedMachine, slot: int) -> None:
    for changed in machine.changes:
        for key, record in changed.items():
            world.states[str(Pubkey(key))].append(State(slot, account_records.lamports(record), digest(record)))
    machine.changes.clear()


def digest(record: bytes) -> str:
    """Of owner and data, as the clients make it of an RPC answer."""
    if not record:
        return ""
    owner = str(Pubkey(account_records.owner(record)))
    return hashlib.sha256(owner.encode() + account_records.data(record)).hexdigest()[:24]


def _compare(
    world: World,
    source: Source,
    trusted: list[bytes],
    checkpoint_id: str,
    accounts: Mapping[bytes, bytes],
    damaged: Collection[str],
) -> None:
    """A checkpoint is what the oracle has at its slot, account by account."""
    try:
        found = read_checkpoint(source, checkpoint_id, trusted)
    except BadArchive as error:
        if not any(one in str(error) for one in damaged):
            world.violations.append(Violation("I5 checkpoint", str(error)))
        return
    world.checkpoints += 1
    wrong = [key for key in {*accounts, *found.accounts} if accounts.get(key) != found.accounts.get(key)]
    if wrong:
        detail = f"{checkpoint_id} differs from the oracle in {len(wrong)} accounts, among them {Pubkey(wrong[0])}"
        world.violations.append(Violation("I5 checkpoint", detail))


def _repeated(world: World) -> list[Violation]:
    """I2 and I3: one outcome for each signature, but for what is sent again when it is long forgotten."""
    found = []
    for signature, outcomes in world.outcomes.items():
        for before, after in pairwise(outcomes):
            late = after.free and after.err == _EXPIRED and after.slot - before.slot >= _FORGOTTEN_SLOTS
            if not late:
                detail = f"it has an outcome in slot {before.slot} ({before.err}) and in {after.slot} ({after.err})"
                found.append(Violation("I2 twice", detail, signature))
    return found
