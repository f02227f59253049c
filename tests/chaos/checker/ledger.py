"""The ledger in Redis once all is quiet, read by plain commands: it is what the archive says, and nothing is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import redis
from solders.pubkey import Pubkey
from solders.signature import Signature

from oracle import records as account_records
from tests.chaos.checker.violation import Violation
from tests.chaos.checker.world import World

_SIGNATURE_BYTES = 64
#: What is lamports and nothing else is kept as these 8 bytes, and behind them the number of its last write.
_LAMPORTS_BYTES = 8


@dataclass
class Remains:
    """What Redis holds in the end: signatures that were refused, and that are dead letters."""

    refused: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    violations: list[Violation] = field(default_factory=list)


def read_remains(client: redis.Redis, ledger: str, world: World) -> Remains:
    """Judge Redis by the world; nothing may be at work any more."""
    prefix = f"tl:{{{ledger}}}"
    remains = Remains()
    meta = _hash(client, f"{prefix}:meta")
    epoch = meta.get(b"epoch", b"none")
    if not epoch.isdigit():
        remains.violations.append(Violation("I7 served", f"the ledger is not served: epoch {epoch!r}"))
        return remains
    here = f"{prefix}:e{int(epoch)}"
    state = {name: value for name, value in _hash(client, f"{here}:state").items() if value.isdigit()}
    remains.refused = _signatures(_hash(client, f"{here}:refusals"))
    remains.dead = _signatures(_hash(client, f"{prefix}:dead"))
    remains.waiting = _signatures(_hash(client, f"{prefix}:intake"))
    say = remains.violations.append
    if world.head is None:
        return remains
    if int(epoch) != world.head.epoch:
        say(Violation("I8 epoch", f"Redis serves epoch {int(epoch)}, the newest block is of {world.head.epoch}"))
    if int(state[b"seq"]) != world.head.last_seq:
        say(Violation("I5 ledger", f"Redis is at {int(state[b'seq'])}, the archive at {world.head.last_seq}"))
        return remains
    accounts = {key: _record(value) for key, value in _hash(client, f"{here}:accounts").items()}
    _compare_accounts(remains, accounts, world)
    _check_lamports(remains, accounts, int(meta[b"supply"]), int(state[b"burned"]))
    for signature, value in _hash(client, f"{here}:status").items():
        name = str(Signature.from_bytes(signature))
        slot, seq = (int(part) for part in value.split(b":", 2)[:2])
        if not any((one.slot, one.seq) == (slot, seq) for one in world.outcomes.get(name, [])):
            say(Violation("I5 status", f"Redis has an outcome in slot {slot} that is in no block", name))
    return remains


def _record(stored: bytes) -> bytes:
    """The whole record of an account, as the archive has it."""
    if len(stored) >= account_records.HEAD_BYTES:
        return stored
    return stored[:_LAMPORTS_BYTES] + bytes(account_records.HEAD_BYTES - _LAMPORTS_BYTES)


def _compare_accounts(remains: Remains, accounts: dict[bytes, bytes], world: World) -> None:
    wrong = [key for key in {*accounts, *world.accounts} if accounts.get(key) != world.accounts.get(key)]
    if wrong:
        detail = f"{len(wrong)} accounts differ from the oracle's, among them {Pubkey(wrong[0])}"
        remains.violations.append(Violation("I5 ledger", detail))


def _check_lamports(remains: Remains, accounts: dict[bytes, bytes], supply: int, burned: int) -> None:
    held = sum(map(account_records.lamports, accounts.values()))
    if held + burned != supply:
        detail = f"{held} lamports in accounts and {burned} burned are not the supply of {supply}"
        remains.violations.append(Violation("I1 lamports", detail))


def _hash(client: redis.Redis, key: str) -> dict[bytes, bytes]:
    found: Any = client.hgetall(key)
    return dict(found)


def _signatures(found: dict[bytes, bytes]) -> set[str]:
    return {str(Signature.from_bytes(key)) for key in found if len(key) == _SIGNATURE_BYTES}
