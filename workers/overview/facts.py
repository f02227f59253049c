"""The snapshot as plain data, ready for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import base58

from config import queues
from workers.overview.diagnosis import Diagnosis
from workers.overview.model import Overview


def overview_facts(overview: Overview, diagnosis: Diagnosis) -> dict[str, Any]:
    """Everything in `overview`. Times are Unix seconds, ages seconds, sizes bytes, amounts lamports."""
    return {
        "ledger": overview.ledger,
        "address": overview.address,
        "diagnosis": asdict(diagnosis),
        "restoring": overview.restoring,
        "progress": None if overview.progress is None else asdict(overview.progress),
        "state": _state(overview),
        "waiting": None if overview.waiting is None else asdict(overview.waiting),
        "server": None if overview.server is None else asdict(overview.server),
        "workers": worker_facts(overview),
        "breakers": [asdict(breaker) for breaker in overview.breakers],
        "modes": overview.modes,
        "gates": [asdict(gate) for gate in overview.gates],
        "notes": overview.notes,
        "limits": None if overview.limits is None else asdict(overview.limits),
        "messages": overview.messages,
        "retries_left": overview.retries_left,
        "letters_share": overview.letters_share,
        "took": overview.took,
    }


def _state(overview: Overview) -> dict[str, Any] | None:
    state = overview.state
    if state is None:
        return None
    return {
        **asdict(state),
        "blockhash": base58.b58encode(state.blockhash).decode(),
        "finality_lag": overview.finality_lag,
        "unsealed": overview.unsealed,
        "unsealable": overview.unsealable,
    }


def worker_facts(overview: Overview) -> list[dict[str, Any]]:
    """The workers that live, each with what it takes, or why it takes nothing."""
    return [
        {
            "name": worker.name,
            "pid": worker.pid,
            "queues": list(worker.queues),
            "epoch": worker.epoch,
            "why_not": worker.waits or ("" if worker.queues else _paused(overview)),
        }
        for worker in overview.workers
    ]


def _paused(overview: Overview) -> str:
    gate = overview.gate("transactions")
    if gate is not None and not gate.allowed:
        return f"paused: {gate.component} is in mode {gate.mode}"
    held = [breaker.name for breaker in overview.breakers if str(breaker.state) != "closed"]
    if held:
        return f"paused: the breaker {held[0]} is not closed"
    return f"paused; nothing closes {queues.TRANSACTIONS} any more, it resumes within a second"
