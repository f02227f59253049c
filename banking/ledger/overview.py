"""What people are shown of a ledger beside its counters. All raise LedgerUnavailable."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from banking.ledger.keys import key_prefix
from banking.ledger.ledger import Ledger

_PAGE = 1_000
_DROPPED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many accepted transactions have no outcome, how many of them are parked, and the dead letters."""

    unresolved: int
    parked: int
    dead: int
    dead_bytes: int


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """`done` of about `total` steps of `phase`; `seconds_left` is an estimate, None before there is one."""

    phase: str | None
    done: int
    total: int
    seconds_left: float | None


def read_backlog(ledger: Ledger) -> Backlog:
    """The sizes of intake and dead letters."""
    keys = ledger.keys

    def read() -> list[int]:
        # No MULTI: a Redis that is out of memory refuses it, even around reads.
        pipe = ledger.client.pipeline(transaction=False)
        pipe.hlen(keys.intake)
        pipe.zcard(keys.parked)
        pipe.hlen(keys.dead)
        pipe.get(keys.dead_bytes)
        return [int(size or 0) for size in pipe.execute()]

    return Backlog(*ledger.call(read))


def restore_progress(ledger: Ledger) -> RestoreProgress | None:
    """How far the restore is, as the holder of its lease reported last; None when nobody restores yet."""
    found: dict[bytes, bytes] = ledger.call(lambda: ledger.client.hgetall(ledger.keys.progress))
    if not found:
        return None
    facts = {name.decode(): value.decode() for name, value in found.items()}
    left = facts.get("seconds_left")
    return RestoreProgress(
        facts.get("phase"), int(facts.get("done", 0)), int(facts.get("total", 0)), None if left is None else float(left)
    )


def served_ledgers(client: redis.Redis) -> list[str]:
    """The names of the ledgers on a Redis, ascending. Raises what redis-py raises."""
    before, after = key_prefix("*").split("*")
    suffix = f"{after}:meta"
    names = client.scan_iter(match=f"{before}*{suffix}", count=_PAGE)
    return sorted(name.decode().removeprefix(before).removesuffix(suffix) for name in names)


def drop_ledger(ledger: Ledger) -> int:
    """Delete every key of the ledger, those of its breakers and modes too; returns how many there were."""
    pattern = f"{ledger.prefix}:*"
    names = list(ledger.call(lambda: list(ledger.client.scan_iter(match=pattern, count=_PAGE))))
    for first in range(0, len(names), _DROPPED_AT_ONCE):
        ledger.call(lambda page=names[first : first + _DROPPED_AT_ONCE]: ledger.client.unlink(*page))
    return len(names)
