"""Why work has stopped, in one plain sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from banking.ledger.observing import Waiting
from config import queues
from recovery.breaker import BreakerStatus, CircuitState
from tasks.runtime import TRANSACTION_BREAKER
from workers.overview.model import Gate, Overview

#: Seconds without a new block after which sealing has stopped, and of waiting after which work is late.
LATE_BLOCK = 10.0
LATE_WORK = 30.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`level` is "ok", "degraded" (part of the work has stopped) or "stopped"; `fix` is "" when nothing is to be done.

    `where` names the part of the page that has the details.
    """

    level: str
    sentence: str
    fix: str = ""
    where: str = ""


def diagnose(overview: Overview) -> Diagnosis:
    """The first cause that explains why work does not go on; what stops everything comes before what stops a part."""
    return next(_causes(overview), None) or _healthy(overview)


def _causes(overview: Overview) -> Iterator[Diagnosis]:
    if overview.problem:
        # Nothing else is known.
        yield Diagnosis("stopped", f"Work has stopped: {overview.problem}.", overview.fix, "server")
    checks: tuple[Callable[[Overview], Diagnosis | None], ...] = (
        _restoring,
        _redis_refuses,
        _breaker_open,
        _transactions_refused,
        _nobody_consumes,
        _nobody_seals,
        _sealing_late,
        _intake_refused,
        _intake_full,
        _nothing_moves,
    )
    yield from (found for check in checks if (found := check(overview)) is not None)


def _restoring(overview: Overview) -> Diagnosis | None:
    if not overview.restoring:
        return None
    progress = overview.progress
    if progress is None:
        told = "the ledger waits to be restored from its archive"
        fix = "A worker that has the archive and its key begins within seconds; without one, start `trunkline up`."
    else:
        told = f"the ledger is being restored: {progress.done:,} of {progress.total:,} {progress.phase or 'steps'}"
        left = "" if progress.seconds_left is None else f", about {progress.seconds_left:.0f} s"
        fix = f"Wait{left}; it goes on by itself."
    return Diagnosis("stopped", f"Work has stopped: {told}.", fix, "checkpoints")


def _redis_refuses(overview: Overview) -> Diagnosis | None:
    server = overview.server
    if server is None or not server.refuses:
        return None
    if "memory" in server.refuses:
        told = f"Redis is out of memory, {_mebibytes(server.used)} used of {_mebibytes(server.limit)}"
        fix = (
            "Raise its maxmemory (`CONFIG SET maxmemory ...` at once, and in its configuration), or free some: drop "
            "dead letters, drop ledgers that nobody needs. Nothing that was accepted is lost."
        )
    else:
        told = f"Redis takes no writes: {server.refuses}"
        fix = "See Redis' log; free its disk or correct its permissions. It goes on by itself."
        if "copy" in server.refuses:
            fix = "Name the primary in TRUNKLINE_REDIS_URL, or the Sentinels that know it (sentinel://...)."
    return Diagnosis("stopped", f"Work has stopped: {told}.", fix, "server")


def _breaker_open(overview: Overview) -> Diagnosis | None:
    breaker = overview.breaker(TRANSACTION_BREAKER)
    if breaker is None or breaker.state is CircuitState.CLOSED:
        return None
    if breaker.override is not None:
        return _breaker_by_hand(breaker)
    if breaker.state is CircuitState.HALF_OPEN:
        return Diagnosis(
            "degraded",
            f"Work is held: the breaker {breaker.name!r} is half open and probes whether the ledger works again.",
            "Wait for the probes; it closes by itself when they succeed.",
            "breakers",
        )
    since = "" if breaker.for_seconds is None else f" since {span_text(breaker.for_seconds)}"
    why = f" ({breaker.reason})" if breaker.reason else ""
    return Diagnosis(
        "stopped",
        f"Work has stopped: the breaker {breaker.name!r} is open{since}{why}; "
        f"it probes again in {breaker.retry_in:.0f} s.",
        "Find out why the ledger's Redis fails (below: server). The breaker closes by itself once probes succeed; "
        "`reset` closes it now.",
        "breakers",
    )


def _breaker_by_hand(breaker: BreakerStatus) -> Diagnosis | None:
    if breaker.state is not CircuitState.OPEN:
        return None
    ends = "until it is reset"
    if breaker.override_ends_in is not None:
        ends = f"for another {span_text(breaker.override_ends_in)}"
    reason = f": {breaker.override_reason}" if breaker.override_reason else ""
    return Diagnosis(
        "stopped",
        f"Work has stopped: {breaker.override_by or 'somebody'} opened the breaker {breaker.name!r} by hand, "
        f"{ends}{reason}.",
        f"Press Reset at the breaker below, or run `trunkline breaker reset {breaker.name}`. Held work then goes on.",
        "breakers",
    )


def _transactions_refused(overview: Overview) -> Diagnosis | None:
    gate = overview.gate("transactions")
    if gate is None or gate.allowed:
        return None
    return Diagnosis("stopped", f"Work has stopped: {_gate_text(gate)}.", _gate_fix(gate), "modes")


def _nobody_consumes(overview: Overview) -> Diagnosis | None:
    if overview.consuming(queues.TRANSACTIONS):
        return None
    waiting = [worker for worker in overview.workers if worker.waits]
    if waiting:
        told = f"no worker takes transactions; {waiting[0].name} waits: {waiting[0].waits}"
        return Diagnosis("stopped", f"Work has stopped: {told}.", "Remove what it waits for.", "workers")
    fix = "Start some: `trunkline up`, `trunkline join` on another host, or `celery -A workers.app worker`."
    return Diagnosis("stopped", "Work has stopped: no worker takes transactions.", fix, "workers")


def _nobody_seals(overview: Overview) -> Diagnosis | None:
    if overview.consuming(queues.MAINTENANCE):
        return None
    return Diagnosis(
        "degraded",
        "Nothing becomes final: no worker takes maintenance, so no slot is sealed into a block.",
        "Start one on a host that has the archive and identity.json: `trunkline up`, or `celery -A workers.app worker "
        "-Q maintenance`; and `celery -A workers.app beat`.",
        "workers",
    )


def _sealing_late(overview: Overview) -> Diagnosis | None:
    waiting = overview.waiting
    if waiting is None:
        return None
    if waiting.archive_error:
        return Diagnosis(
            "degraded",
            "Nothing becomes final: the archive refuses writes.",
            "Free its disk, correct its permissions or its address; sealing then goes on by itself. "
            "After some seconds transactions are held as well.",
            "ledger",
        )
    if waiting.block_age is not None and waiting.block_age > LATE_BLOCK:
        return Diagnosis(
            "degraded",
            f"Nothing becomes final: the newest block is {span_text(waiting.block_age)} old{_beat_text(waiting)}.",
            "See whether beat runs (`celery -A workers.app beat`; one is enough) and what the maintenance worker logs.",
            "ledger",
        )
    return None


def _beat_text(waiting: Waiting) -> str:
    if waiting.beat_age is None or waiting.beat_age < LATE_BLOCK:
        return ""
    return f", and beat has said nothing for {span_text(waiting.beat_age)}"


def _intake_refused(overview: Overview) -> Diagnosis | None:
    gate = overview.gate("intake")
    if gate is None or gate.allowed:
        return None
    told = f"Nothing new is accepted: {_gate_text(gate)}; what was accepted before goes on."
    return Diagnosis("degraded", told, _gate_fix(gate), "modes")


def _intake_full(overview: Overview) -> Diagnosis | None:
    waiting, limits = overview.waiting, overview.limits
    if waiting is None or limits is None:
        return None
    if overview.letters_share >= 1:
        return Diagnosis(
            "degraded",
            f"Nothing new is accepted: the dead letters are full, {waiting.dead:,} of them.",
            "Replay or drop some, below or by `trunkline deadletter`.",
            "letters",
        )
    if waiting.backlog >= limits.intake:
        return Diagnosis(
            "degraded",
            f"Nothing new is accepted: intake is full, {waiting.backlog:,} transactions wait of {limits.intake:,}.",
            "Add workers; senders may submit again later.",
            "ledger",
        )
    if overview.unsealed >= limits.unsealed:
        return Diagnosis(
            "degraded",
            f"Nothing new is accepted: {overview.unsealed:,} outcomes have no block yet, more than the archive may "
            "be behind.",
            "See why the archive is slow, and what the maintenance worker logs.",
            "ledger",
        )
    return None


def _nothing_moves(overview: Overview) -> Diagnosis | None:
    waiting = overview.waiting
    if waiting is None or waiting.oldest_age is None or waiting.oldest_age < LATE_WORK:
        return None
    count = len(overview.consuming(queues.TRANSACTIONS))
    return Diagnosis(
        "degraded",
        f"Work is late: the oldest of {waiting.queued:,} queued transactions has waited "
        f"{span_text(waiting.oldest_age)}, and {count} worker{'s' if count != 1 else ''} take them.",
        "Add workers; if the queue does not shrink, see their logs.",
        "workers",
    )


def _healthy(overview: Overview) -> Diagnosis:
    waiting = overview.waiting
    count = len(overview.consuming(queues.TRANSACTIONS))
    workers = f"{count} worker{'' if count == 1 else 's'} take{'s' if count == 1 else ''} transactions"
    if waiting is None or not waiting.backlog:
        return Diagnosis("ok", f"All is well: {workers}, and nothing waits.")
    return Diagnosis("ok", f"All is well: {workers}, {waiting.backlog:,} wait.")


def _gate_text(gate: Gate) -> str:
    since = "" if gate.since is None else f" since {span_text(gate.since)}"
    ends = "" if gate.expires_in is None else f", for another {span_text(gate.expires_in)}"
    reason = f": {gate.reason}" if gate.reason else ""
    origin = f"set by {gate.who}" if gate.manual else f"by {gate.who}"
    return f"{gate.component} is in mode {gate.mode}{since}, {origin}{ends}{reason}"


def _gate_fix(gate: Gate) -> str:
    if gate.manual:
        component, _, operation = gate.scope.partition("/")
        only = f" --operation {operation}" if operation else ""
        return f"Press Clear at {gate.scope} below, or run `trunkline mode clear {component}{only}`."
    return (
        f"The {gate.who} ends by itself once what it watches is well again (docs/degradation.md names that). "
        f"`trunkline mode explain {gate.component} {gate.operation}` tells more."
    )


def span_text(seconds: float) -> str:
    """A span for people: `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
