"""A model in plain Python of what commits do to a ledger, and the transfers that it is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from solders.account import Account
from solders.pubkey import Pubkey

from banking.ledger.commit_request import CommitRequest
from banking.ledger.ledger import MAX_BLOCKHASH_AGE
from banking.ledger.records import Result, lamports_of, pack_account, pack_result
from banking.ledger.versions import sequence

FEE = 5000
#: One balance that a Lua number could not hold exactly.
BALANCES = (2**62 + 1, 10**9, 20_000, 4_999)
KEYS = tuple(hashlib.sha256(bytes([number])).digest() for number in range(len(BALANCES) + 2))


def record(lamports: int) -> bytes:
    """Plain, or not, or gone: one and the same account goes from each to each."""
    if not lamports:
        return b""
    data = b"" if lamports % 3 else b"data"
    return pack_account(Account(lamports=lamports, data=data, owner=Pubkey.default(), executable=False))


@dataclass(frozen=True)
class Transfer:
    """A transfer; `twin` is another signature over the same message."""

    number: int
    source: int
    target: int
    lamports: int
    blockhash: bytes
    twin: int = 0

    @property
    def signature(self) -> bytes:
        return hashlib.sha512(f"{self.number} {self.twin}".encode()).digest()

    @property
    def raw(self) -> bytes:
        """As in a transaction, a byte stands before the signature."""
        return b"\x01" + self.signature + b"raw"

    @property
    def message_hash(self) -> bytes:
        return hashlib.sha256(f"message {self.number}".encode()).digest()

    def entry(self, view: dict[bytes, bytes], recent: set[bytes]) -> CommitRequest:
        """What executing it on `view` comes to; `view` is carried on."""
        refused = self.blockhash not in recent
        source, target = KEYS[self.source], KEYS[self.target]
        balance = lamports_of(view[source])
        writes: dict[bytes, bytes] = {}
        burned, ok = 0, False
        if not refused and balance >= FEE:
            burned, ok = FEE, balance >= FEE + self.lamports
            balances = {source: balance - FEE}
            if ok:
                balances[source] -= self.lamports
                balances[target] = balances.get(target, lamports_of(view[target])) + self.lamports
            writes = {key: record(lamports) for key, lamports in balances.items()}
            view.update(writes)
        return CommitRequest(
            signature=self.signature,
            message_hash=self.message_hash,
            blockhash=None if refused else self.blockhash,
            reads=() if refused else tuple(dict.fromkeys((source, target))),
            burned=burned,
            ok=ok,
            result=pack_result(Result(None if ok else '"Failed"', burned, 0, [])),
            raw=self.raw,
            writes=writes,
        )


@dataclass
class Model:
    """What the ledger should hold."""

    records: dict[bytes, bytes]
    slot: int = 1
    seq: int = 1
    accepted: int = 0
    burned: int = 0
    ok: int = 0
    failed: int = 0
    versions: dict[bytes, int] = field(default_factory=dict)
    applied: list[bytes] = field(default_factory=list)
    messages: set[bytes] = field(default_factory=set)
    blockhashes: dict[bytes, int] = field(default_factory=dict)
    intake: set[bytes] = field(default_factory=set)
    dead: set[bytes] = field(default_factory=set)

    def recent(self, blockhash: bytes) -> bool:
        return self.slot - self.blockhashes[blockhash] <= MAX_BLOCKHASH_AGE

    def settled(self, signature: bytes) -> bool:
        return signature in self.applied or signature in self.dead

    def commit(self, entries: list[CommitRequest], versions: dict[bytes, bytes]) -> str:
        stale = {key for key, seen in versions.items() if not self._is_current(key, seen)}
        codes = ""
        for entry in entries:
            code = self._judge(entry, stale)
            codes += code
            if code == "A":
                self._apply(entry)
            else:
                stale |= set(entry.writes)
                if code == "D":
                    self.intake.discard(entry.signature)
        return codes

    def _is_current(self, key: bytes, seen: bytes) -> bool:
        # Of a plain account what was stored was seen: its lamports (8 bytes), then the number.
        number = seen[9:] if seen[:1] == b"=" else seen
        return (sequence(number) if seen else None) == self.versions.get(key)

    def _judge(self, entry: CommitRequest, stale: set[bytes]) -> str:
        if self.settled(entry.signature):
            return "D"
        if entry.blockhash is not None and entry.message_hash in self.messages:
            return "M"
        if entry.blockhash is not None and not self.recent(entry.blockhash):
            return "E"
        return "C" if stale & set(entry.reads) else "A"

    def _apply(self, entry: CommitRequest) -> None:
        self.seq += 1
        for key, value in entry.writes.items():
            self.records[key] = value
            self.versions[key] = self.seq
            if not value:
                del self.versions[key]
        self.applied.append(entry.signature)
        if entry.blockhash is not None and entry.burned:
            self.messages.add(entry.message_hash)
        self.burned += entry.burned
        self.ok += entry.ok
        self.failed += not entry.ok
        self.take(entry.signature)
        self.intake.discard(entry.signature)

    def take(self, signature: bytes) -> bool:
        """It comes in, unless it is here; whether it was new."""
        if signature in self.intake:
            return False
        self.intake.add(signature)
        self.accepted += 1
        return True
