"""What watchers read of a ledger beside its counters: functions that write nothing and whose answers are bounded.

All raise LedgerUnavailable; those that need the served epoch also LedgerMissing and LedgerRestoring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from banking.ledger.ledger import Ledger
from banking.ledger.pulse import TOLERANCE
from banking.ledger.records import Outcome, unpack_outcome, unpack_refusal
from banking.ledger.worker_registry import WorkerRegistry, WorkerStatus
from recovery.breaker import BreakerStatus, list_breakers
from recovery.spans import span


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a ledger, as of `at` (Redis time, seconds since the Unix epoch). Ages are seconds.

    `oldest_age` is that of the oldest queued transaction, None when none is queued; `due_in` the time until the first
    parked one may run again. `block_age` is the time since the newest block was first seen, None where health is not
    evaluated, `clock_back` how far the server's clock is behind the latest time that was seen on it.
    `beat_age` is the time since beat last looked at what is due, None when it did not for a day.
    `archive_error` says that a write to the archive has just failed, `checkpointing` that a checkpoint is written.
    """

    at: float
    backlog: int
    queued: int
    parked: int
    oldest_age: float | None
    due_in: float | None
    dead: int
    dead_bytes: int
    block_age: float | None
    clock_back: float
    archive_error: bool
    checkpointing: bool
    beat_age: float | None = None


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """`done` of about `total` steps of `phase`; `seconds_left` is an estimate, None before there is one."""

    phase: str | None
    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis server. Sizes are bytes; `limit` is 0 without `maxmemory`. `refuses` says why it takes no writes."""

    version: str
    run_id: str
    uptime: float
    used: int
    limit: int
    total: int
    policy: str
    fragmentation: float
    clients: int
    aof: bool
    refuses: str


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where one transaction is. Times are seconds of Redis' clock since the Unix epoch, None where it is not there.

    `raw` is what intake holds of it, `attempts` the runs of it that ended with neither an outcome nor an error.
    """

    at: float
    raw: bytes | None
    queued_at: float | None
    parked_until: float | None
    attempts: int
    outcome: Outcome | None
    refusal: str | None
    dead: bytes | None
    finalized: int


def waiting(ledger: Ledger) -> Waiting:
    """Sizes and ages, by one round trip."""
    keys, client = ledger.keys, ledger.client

    def read() -> list[Any]:
        # No MULTI: a Redis that is out of memory refuses it, even around reads.
        pipe = client.pipeline(transaction=False)
        pipe.time()
        pipe.hlen(keys.intake)
        pipe.zcard(keys.queued)
        pipe.zcard(keys.parked)
        pipe.zrange(keys.queued, 0, 0, withscores=True)
        pipe.zrange(keys.parked, 0, 0, withscores=True)
        pipe.hlen(keys.dead)
        pipe.get(keys.dead_bytes)
        pipe.hmget(keys.health, "sealed", "latest")
        pipe.exists(keys.archive_error)
        pipe.exists(keys.checkpointing)
        pipe.get(keys.beat)
        return pipe.execute()

    clock, backlog, queued, parked, oldest, due, dead, size, (sealed, latest), error, writing, beat = ledger.call(read)
    now = clock[0] + clock[1] / 1e6
    behind = float(latest or 0) / 1000 - now
    return Waiting(
        at=now,
        backlog=backlog,
        queued=queued,
        parked=parked,
        oldest_age=max(0.0, now - oldest[0][1] / 1000) if oldest else None,
        due_in=max(0.0, due[0][1] / 1000 - now) if due else None,
        dead=dead,
        dead_bytes=max(0, int(size or 0)),
        block_age=span(float(sealed or 0) / 1000, now),
        clock_back=behind if behind > TOLERANCE else 0.0,
        archive_error=bool(error),
        checkpointing=bool(writing),
        beat_age=span(float(beat or 0) / 1000, now),
    )


def restore_progress(ledger: Ledger) -> RestoreProgress | None:
    """How far the restore is, as the holder of its lease reported last; None when nobody restores yet."""
    found = cast("dict[bytes, bytes]", ledger.call(lambda: ledger.client.hgetall(ledger.keys.progress)))
    if not found:
        return None
    facts = {name.decode(): value.decode() for name, value in found.items()}
    left = facts.get("seconds_left")
    return RestoreProgress(
        facts.get("phase"), int(facts.get("done", 0)), int(facts.get("total", 0)), None if left is None else float(left)
    )


def live_workers(ledger: Ledger) -> list[WorkerStatus]:
    """The workers that live, by name."""
    return cast("list[WorkerStatus]", ledger.call(WorkerRegistry.of(ledger).live))


def breakers(ledger: Ledger) -> list[BreakerStatus]:
    """The breakers that have been used, by name."""
    return cast("list[BreakerStatus]", ledger.call(lambda: list_breakers(ledger.client, ledger.prefix)))


def server(ledger: Ledger) -> Server:
    """The server that holds the ledger, by one round trip."""

    def read() -> list[Any]:
        pipe = ledger.client.pipeline(transaction=False)
        for section in ("server", "memory", "persistence", "clients", "replication"):
            pipe.info(section)
        return pipe.execute()

    info: dict[str, Any] = {}
    for section in ledger.call(read):
        info |= section
    return Server(
        version=str(info.get("redis_version", "")),
        run_id=str(info.get("run_id", "")),
        uptime=float(info.get("uptime_in_seconds", 0)),
        used=int(info.get("used_memory", 0)),
        limit=int(info.get("maxmemory", 0)),
        total=int(info.get("total_system_memory", 0)),
        policy=str(info.get("maxmemory_policy", "")),
        fragmentation=float(info.get("mem_fragmentation_ratio", 0.0)),
        clients=int(info.get("connected_clients", 0)),
        aof=bool(info.get("aof_enabled")),
        refuses=_refuses(info) or _refuses_by_snapshot(ledger, info),
    )


def _refuses(info: Mapping[str, Any]) -> str:
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        return "it cannot write its append-only file"
    if info.get("role") == "slave":
        return "it is a copy of another server, or has become one"
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used >= limit:
        return "it is out of memory"
    return ""


def _refuses_by_snapshot(ledger: Ledger, info: Mapping[str, Any]) -> str:
    """Redis counts a snapshot that failed as a full disk, if it is told to make some and not told to write on."""
    if info.get("rdb_last_bgsave_status", "ok") == "ok":
        return ""
    try:
        names = ("save", "stop-writes-on-bgsave-error")
        schedule, stops = (ledger.client.config_get(name).get(name) for name in names)
    except redis.ResponseError:
        # A user who may not ask CONFIG: Redis' defaults are both.
        schedule, stops = "3600 1", "yes"
    return "its last snapshot failed (a full disk?)" if schedule and stops == "yes" else ""


def whereabouts(ledger: Ledger, signature: bytes) -> Whereabouts:
    """Everything that Redis knows of one transaction, by one round trip."""
    keys, epoch, client = ledger.keys, ledger.epoch_keys, ledger.client
    name: Any = signature

    def read() -> list[Any]:
        pipe = client.pipeline(transaction=False)
        pipe.time()
        pipe.hget(keys.intake, name)
        pipe.zscore(keys.queued, name)
        pipe.zscore(keys.parked, name)
        pipe.hget(keys.attempts, name)
        pipe.hget(epoch.status, name)
        pipe.hget(epoch.refusals, name)
        pipe.hget(keys.dead, name)
        pipe.hget(epoch.state, "finalized")
        return pipe.execute()

    clock, raw, queued, parked, attempts, status, refusal, dead, finalized = ledger.call(read)
    return Whereabouts(
        at=clock[0] + clock[1] / 1e6,
        raw=raw,
        queued_at=None if queued is None else queued / 1000,
        parked_until=None if parked is None else parked / 1000,
        attempts=int(attempts or 0),
        outcome=unpack_outcome(status) if status else None,
        refusal=unpack_refusal(refusal) if refusal else None,
        dead=dead,
        finalized=int(finalized or -1),
    )


def note_beat(ledger: Ledger) -> None:
    """Keep that beat looked at what is due now, by Redis' clock, for a day."""
    now = ledger.server_ms()
    ledger.call(lambda: ledger.client.set(ledger.keys.beat, now, ex=86_400))


def write_note(ledger: Ledger, name: str, facts: Mapping[str, str | int | float]) -> None:
    """Keep the newest report of something that happens now and then ("scrub", "restore"), with Redis' time."""
    record = json.dumps({**facts, "at": ledger.server_ms() / 1000})
    ledger.call(lambda: ledger.client.hset(ledger.keys.notes, name, record))


def read_notes(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """The newest report of each kind; `at` in each is Redis time in seconds since the Unix epoch."""
    found = cast("dict[bytes, bytes]", ledger.call(lambda: ledger.client.hgetall(ledger.keys.notes)))
    return {name.decode(): json.loads(record) for name, record in found.items()}
